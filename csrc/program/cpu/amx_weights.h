// What a convolution's products are for AMX, and its weights in their order.
#pragma once

#include <cstdint>
#include <vector>

#include "program/common/plan.h"
#include "program/cpu/packing.h"

namespace yolo::program {

inline int64_t ceil_div(int64_t number, int64_t by) {
    return (number + by - 1) / by;
}

// How the numbers of a map lie that a product takes at once.
enum class AmxOrder {
    planes,  // plain images: pixels of one channel
    block,   // the 16 channels of a pixel, and those of the next ones
    pairs,   // two blocks side by side, which a copy puts there
    bytes,   // all channels of a pixel
};

// The order in which a convolution reads a map: bfloat16 as it is where that is plain or one block, or where each pixel
// meets one weight.
AmxOrder amx_order(const TensorView& source, bool one_by_one);

// The products of a convolution: of each group of channels and each row of the kernel a run of numbers that lie together
// in the map, in pieces as long as a tile's rows.
struct AmxProducts {
    int64_t element;         // bytes of a number
    int64_t channels;        // of a group
    int64_t groups, height;  // the kernel's height
    int64_t run, pieces;     // numbers of a run
    int64_t numbers;         // of a piece; the last one may reach behind its run, where weights are zero

    // `width`, `height`: of the kernel.
    AmxProducts(AmxOrder order, int64_t channels, int64_t height, int64_t width);
    int64_t count() const { return groups * height * pieces; }
    int64_t depth() const { return numbers * element; }
    // Bytes of the weights of so many target channels, which are filled up to whole blocks.
    int64_t weight_bytes(int64_t targets) const { return targets * count() * depth(); }
};

// The kernels of a convolution in one group, of `area` numbers each, from each target channel's start on; without starts one
// after the other. `turned`: for the gradient of the source, whose targets are the sources of these.
struct AmxKernels {
    const float* values;
    const int64_t* starts;
    int64_t area;
    bool turned;

    // Of two channels of the convolution that is computed, of `sources` source channels.
    const float* at(int64_t target, int64_t source, int64_t sources) const;
};

// The weights of a convolution, [target, source, height, width], which has these numbers of each kernel, in its order.
struct AmxWeights {
    AmxOrder order;
    dnnl::memory::dims dims;
    const int64_t* taps;
    std::byte* to;
};

// Packs the pairs of target blocks from `begin` to `end`, as below, of convolutions with the same channels and kernels.
void pack_amx(const std::vector<AmxWeights>& all, int64_t lanes, const AmxKernels& given, int64_t begin, int64_t end);

// Weights as [target / 32][product][2][row of 4 bytes][16][4 bytes], where the last pair of blocks may be one: bfloat16, or
// whole numbers within 127 as bytes and behind them each channel's sum, int32.
const Packing& amx_packing(AmxOrder order);

}  // namespace yolo::program
