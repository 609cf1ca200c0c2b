// Where a feature map lies in a training program's memory.
#pragma once

#include <cstdint>

namespace yolo::program::training {

// Gradients that one step adds up; a plan adds up more in several steps.
constexpr int64_t kMostSources = 16;

// Channels `first` to `first + channels` of a buffer [batch, buffer_channels / V, height, width, V] at `offset` bytes
// in the arena, V = channel_block(). `first` and `buffer_channels` are whole blocks; lanes after the last channel hold
// zeros. `plain`: the buffer is [batch, channels, height, width] instead, all of it. `element`: bytes of a number, 4
// (float32) or 2 (bfloat16).
struct Slice {
    int64_t offset;
    int64_t buffer_channels;
    int64_t first;
    int64_t channels;
    int64_t height;
    int64_t width;
    int64_t element;
    bool plain;

    int64_t pixels() const { return height * width; }
    bool wide() const { return element == 4; }
    // Bytes between pictures.
    int64_t picture() const { return buffer_channels * pixels() * element; }
    // Bytes before picture `n`, the slice's channel block `block` of `lanes` channels.
    int64_t plane(int64_t n, int64_t block, int64_t lanes) const {
        return offset + n * picture() + (first + block * lanes) * pixels() * element;
    }
};

}  // namespace yolo::program::training
