// Attention over the pixels of maps, and its gradient: csrc/program/kernels/attention.h on a CUDA device.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/device.h"
#include "cuda/map.h"

namespace yolo::program::cuda {

// What attention reads; maps of one shape and number type, whose channels are `heads` groups in a row.
struct Attended {
    yolo::cuda::Map query, key, value;
    int64_t heads;
};

// Writes softmax(query key^T / sqrt(channels of a head)) value, head by head and image by image, in float32. No
// matrix [pixels, pixels] is stored.
void attend(const Attended& from, const yolo::cuda::Map& target, yolo::cuda::Stream stream);

// Of the device, which attend_back() uses meanwhile.
size_t attend_back_scratch_bytes(const Attended& from);

struct AttendedGradients {
    yolo::cuda::Map query, key, value;
};

// Writes the gradients of query, key and value for `gradient`, that of the target; the weights are computed again.
void attend_back(const Attended& from, const yolo::cuda::Map& gradient, const AttendedGradients& to, void* scratch,
                 yolo::cuda::Stream stream);

}  // namespace yolo::program::cuda
