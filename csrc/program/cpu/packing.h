// A layout of a convolution's weights that is not oneDNN's.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "program/cpu/onednn.h"

namespace yolo::program {

// How the weights of a convolution in one group are laid out for kernels of our own; constants, one object for each.
// `dims`: [target, source, height, width]; `lanes`: channels of a block.
struct Packing {
    // The bytes that they take.
    size_t (*bytes)(const dnnl::memory::dims& dims, int64_t lanes);
    // Fills them. Raises std::invalid_argument for weights that the layout cannot hold.
    void (*pack)(const std::vector<float>& weights, const dnnl::memory::dims& dims, int64_t lanes, std::byte* to);
};

}  // namespace yolo::program
