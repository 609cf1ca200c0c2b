// Pools and upsampling, and their gradients.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/device.h"
#include "cuda/map.h"

namespace yolo::program::cuda {

enum class Resampling { max_pool, average_pool, upsample, bilinear };

// Of pools: square windows, `stride` apart, the first one `padding` before the map; each touches the map. Of upsampling
// `stride` is the scale.
struct Window {
    int kernel, stride, padding;
};

// Where a max pool keeps of each of its maxima which place of the kernel x kernel ones it had: numbers of `bytes` bytes
// (1 or 2), in pixels of the target's, `pitch` apart; data null: nowhere.
struct Places {
    void* data = nullptr;
    int64_t pitch = 0;
    int64_t bytes = 0;
};

// target = source resampled. A max pool's maximum is the first of several in the order of rows, NaN is none of them,
// and where there is nothing else it is -inf, at the first place inside of the map. An average pool counts its padding
// as zeros. Bilinear: pixel centres lie at (i + 1/2) / scale - 1/2.
void resample(Resampling method, const yolo::cuda::Map& source, const yolo::cuda::Map& target, const Window& window,
              const Places& places, yolo::cuda::Stream stream);

// Bytes that resample_backward needs for itself.
size_t resample_backward_scratch_bytes(Resampling method, const std::vector<yolo::cuda::Map>& gradients,
                                       const Window& window);

// source_gradient, of the sum of `gradients` (at most kMostSources), all of one type of numbers.
void resample_backward(Resampling method, const std::vector<yolo::cuda::Map>& gradients,
                       const yolo::cuda::Map& source_gradient, const Window& window, const Places& places,
                       float* scratch, yolo::cuda::Stream stream);

}  // namespace yolo::program::cuda
