// What a convolution's products are for AMX, and its weights in their order.
#pragma once

#include <cstdint>

#include "program/common/plan.h"
#include "program/cpu/packing.h"

namespace yolo::program {

// How the numbers of a map lie that a product takes at once, at most 32 of them.
enum class AmxSource {
    planes,  // plain images: pixels of one channel
    block,   // the 16 channels of a pixel, and those of the next ones
    pairs,   // two blocks side by side
};

// A map's order for this convolution: as it is where that is plain or one block, or each pixel meets one weight.
AmxSource amx_source(const TensorView& source, bool one_by_one);

// The products of a convolution with a kernel of height x width: for each group of channels and each row of the kernel
// some that take its columns, `columns` each, one after the other.
struct AmxProducts {
    int64_t channels;            // of a group
    int64_t groups, height;      // of the kernel, as `pieces` are for its width
    int64_t pieces, columns;     // columns of the kernel that lie in a product
    int64_t numbers;             // of a product, with those behind its columns

    AmxProducts(AmxSource source, int64_t channels, int64_t height, int64_t width);
    int64_t count() const { return groups * height * pieces; }
    int64_t depth() const { return numbers * 2; }
};

// Weights as [target / 32][product][2][numbers / 2][16][2], bfloat16, where the last pair of blocks may be one.
const Packing& amx_packing(AmxSource source);

}  // namespace yolo::program
