// Weights of 3x3 convolutions as Winograd's algorithm takes them.
#pragma once

#include <cstdint>
#include <vector>

#include "program/cpu/packing.h"
#include "program/kernels/kernels.h"

namespace yolo::program {

// Along one axis: outputs of a tile, and its products for a pair of channels.
struct WinogradSides {
    int64_t tile, points;
};

constexpr WinogradSides sides(WinogradForm form) {
    switch (form) {
        case WinogradForm::f4_stride2: return {4, 9};
        case WinogradForm::f2_stride2: return {2, 5};
        default: return {4, 6};
    }
}

// Products of a tile for each pair of channels.
constexpr int64_t points_of(WinogradForm form) {
    return sides(form).points * sides(form).points;
}

// Operations of the products of one image, a multiplication and an addition being two.
inline double executed_by(const Winograd& w) {
    return 2.0 * static_cast<double>(points_of(w.form) * w.rows * w.columns * w.source_channels * w.target_channels);
}

// Of weights [target, source, 3, 3]: GgG', computed in float64. `to`: [points][target / (2 lanes)][source][2 lanes],
// where the last panel may have one vector of `lanes`, of which target is a multiple.
void transform_weights(const std::vector<float>& weights, int64_t target, int64_t source, int64_t lanes,
                       WinogradForm form, float* to);

// The same as a layout of constants.
const Packing& packing_of(WinogradForm form);

}  // namespace yolo::program
