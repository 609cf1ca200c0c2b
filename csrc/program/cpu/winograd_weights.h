// Weights of convolutions as matrix products take them.
#pragma once

#include <cstdint>
#include <vector>

#include "program/kernels/kernels.h"

namespace yolo::program {

// Kernel and stride; outputs of a tile and its products for a pair of channels, along one axis.
struct ConvFormSides {
    int64_t kernel, stride, tile, points;
};

constexpr ConvFormSides sides(ConvForm form) {
    switch (form) {
        case ConvForm::f4: return {3, 1, 4, 6};
        case ConvForm::f4_stride2: return {3, 2, 4, 9};
        case ConvForm::f2_stride2: return {3, 2, 2, 5};
        default: return {1, 1, 1, 1};
    }
}

// Products of a tile for each pair of channels.
constexpr int64_t points_of(ConvForm form) {
    return sides(form).points * sides(form).points;
}

// Of weights [target, source, kernel, kernel]: GgG', computed in float64. `to`: [points][target / (2 lanes)][source]
// [2 lanes], where the last panel may have one vector of `lanes`, of which target is a multiple.
void transform_weights(const std::vector<float>& weights, int64_t target, int64_t source, int64_t lanes, ConvForm form,
                       float* to);

}  // namespace yolo::program
