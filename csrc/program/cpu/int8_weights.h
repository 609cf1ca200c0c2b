// Whole weights as the kernels of convolutions of bytes take them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "program/cpu/packing.h"

namespace yolo::program {

// Products of a tile for each pair of channels.
constexpr int64_t kInt8Points = 36;

// Weights of one convolution for kernels/int8.h, in panels of `lanes` channels, the last one filled up with zeros.
struct Fours {
    int64_t panels, runs, length, lanes;

    // `dims`: [target, source, height, width]. A run is one row of the kernel, all channels of a pixel together.
    Fours(const dnnl::memory::dims& dims, int64_t lanes);
    int64_t panel_bytes() const { return runs * length * lanes; }
    // The panels, then the sum of each channel's weights, int32 [panels * lanes].
    size_t bytes() const;
};

// From whole numbers in float32, [target, source, height, width], to [panel][run][length / 8][2][lanes][4] and the sums.
// Raises std::invalid_argument where four weights that are added up in 16 bits are together beyond 128 on one side.
void pack_fours(const std::vector<float>& weights, const dnnl::memory::dims& dims, int64_t lanes, std::byte* to);

// From whole numbers [target, source, 3, 3] to points within 16 bits, [target / (2 lanes)][36][source / 2][2 lanes][2],
// where the last panel may have one vector of `lanes`, of which target is a multiple. Raises std::invalid_argument where a
// sum of products with bytes can be beyond 26 bits.
void pack_int8_winograd(const std::vector<float>& weights, const dnnl::memory::dims& dims, int64_t lanes, std::byte* to);

// Both as layouts of constants.
extern const Packing kFoursPacking, kInt8WinogradPacking;

}  // namespace yolo::program
