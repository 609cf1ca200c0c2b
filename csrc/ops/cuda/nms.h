// Non-maximum suppression on a device, with the rows of csrc/ops/nms.h: the same candidates, order and arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/device.h"
#include "ops/nms.h"

namespace yolo::ops::cuda {

// Of a batch of images with `rows` predictions each.
struct NmsProblem {
    int64_t images, rows, classes;
    NmsSettings settings;
    const uint8_t* wanted;  // the settings' on the device, or null for every class

    // Raises std::invalid_argument for numbers that mean nothing.
    void check() const;
    // Candidates that an image may have, and those of them that enter the suppression.
    int64_t capacity() const { return settings.multi_label ? rows * classes : rows; }
    int64_t limit() const { return capacity() < settings.max_candidates ? capacity() : settings.max_candidates; }
};

// Bytes on the device that nms() and detect() work in. A batch that asks for more than kNmsScratch is done in parts.
constexpr size_t kNmsScratch = size_t{256} << 20;
size_t nms_scratch_bytes(const NmsProblem& problem);

// predictions: images x rows x (5 + classes): x, y, w, h, objectness, class scores.
// detections: images x max_det x 6: x1, y1, x2, y2, score, class; best first, zeros after counts[image].
// All on the device. Raises std::invalid_argument as check() does.
void nms(const NmsProblem& problem, const float* predictions, float* detections, int32_t* counts, void* scratch,
         yolo::cuda::Stream stream);

}  // namespace yolo::ops::cuda
