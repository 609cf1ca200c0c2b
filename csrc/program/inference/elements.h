// Elements of feature maps: where they lie, and their numbers.
#pragma once

#include <cstdint>
#include <cstring>

#include "program/common/buffer.h"
#include "program/cpu/onednn.h"

namespace yolo::program {

// Where a value lies: element index of (channel, pixel) in a view.
struct Place {
    int64_t block, pixels;
    bool plain;

    explicit Place(const View& view) : block(channel_block()), pixels(view.pixels()), plain(view.plain) {}
    int64_t operator()(int64_t channel, int64_t pixel) const {
        return plain ? channel * pixels + pixel : (channel / block * pixels + pixel) * block + channel % block;
    }
};

// Zeros after the last channel, which convolutions read along with the others.
inline void clear_tail(std::byte* data, const View& view, int64_t size) {
    const int64_t block = channel_block(), used = view.channels % block;
    if (view.plain || used == 0) return;
    std::byte* last = data + view.channels / block * block * view.pixels() * size;
    for (int64_t pixel = 0; pixel < view.pixels(); ++pixel) {
        std::memset(last + (pixel * block + used) * size, 0, static_cast<size_t>((block - used) * size));
    }
}

}  // namespace yolo::program
