// Steps on whole planes: pools, upsampling, moves of channels, and the ways in and out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "program/kernels/kernels.h"
#include "program/training/slice.h"
#include "program/training/step.h"
#include "program/cpu/workspace.h"

namespace yolo::program::training {

// What the steps of a program have in common. `planes`: for each thread two planes of floats, of the largest map.
struct Place {
    int64_t batch;
    int threads;
    std::byte* arena;
    std::shared_ptr<std::vector<float*>> planes;
};

enum class Resampling { max_pool, average_pool, upsample, bilinear };

// Pools of kernel, stride and padding of `window` (whose sizes are filled in here), or upsampling by its stride.
// `index`: offset of [batch, padded channels, out_height, out_width] for a max pool, which its gradient reads, of uint8
// or, for windows of more than 256 places, uint16.
Step resample(const Place& place, const std::string& where, Resampling kind, const Slice& source, const Slice& target,
              Window window, int64_t index);
// The gradient, of the sum of `gradients`, to `source_gradient`.
Step resample_back(const Place& place, const std::string& where, Resampling kind, std::vector<Slice> gradients,
                   const Slice& source_gradient, Window window, int64_t index);

// target = attention of query, key and value in `given` (attention.h), and the gradients of those three.
Step attention(const Place& place, const std::string& where, const std::array<Slice, 3>& given, const Slice& target,
               int64_t heads, Workspace& workspace);
Step attention_back(const Place& place, const std::string& where, const std::array<Slice, 3>& given,
                    const Slice& gradient, const std::array<Slice, 3>& to, int64_t heads, Workspace& workspace);

// Channel c of `fine` at (y * stride + dy, x * stride + dx) belongs to channel i of `coarse` at (y, x), for the i-th
// entry; `fine` and `coarse` are whole buffers or slices with any first channel given by the entries.
struct Link {
    int64_t channel, dy, dx;
};
// coarse = fine, zeros where that lies outside.
Step collect(const Place& place, const std::string& where, const Slice& fine, const Slice& coarse,
             std::vector<Link> links, int64_t stride);
// fine = coarse where they meet; what else is in `fine` becomes zero first if `clear`.
Step spread(const Place& place, const std::string& where, const Slice& fine, const Slice& coarse,
            std::vector<Link> links, int64_t stride, bool clear);

// Pictures [batch, channels, H, W], uint8 (divided by 255) or float32, into a plain or blocked buffer.
Step load_images(const Place& place, const Slice& target, bool bytes);
// A head, float32 [batch, channels, h, w], out of a slice.
Step store_head(const Place& place, const std::string& where, const Slice& source, int64_t number);
// Its gradient into a slice.
Step load_head_gradient(const Place& place, const std::string& where, const Slice& target, int64_t number);

}  // namespace yolo::program::training
