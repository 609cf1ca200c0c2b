// YOLOv5's detection loss with its gradient on a device: what ops::detection_loss computes, to rounding.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/device.h"
#include "ops/loss.h"

namespace yolo::ops::cuda {

// Bytes of scratch that detection_loss takes, for a batch of so many images with `places` labels each. Of the levels,
// only their sizes matter.
size_t loss_scratch_bytes(int64_t images, int64_t places, const LossLevel* levels, int64_t count);

// All addresses, also those in `labels`, `levels` (anchor_sizes too) and `whole`, are of the device's memory. scratch:
// loss_scratch_bytes() of it, aligned to 256 bytes. slope_scale: one number that all gradients, but no sum, are
// multiplied by, or nullptr. The host does not wait, and the same work gives the same bits.
// Raises std::invalid_argument for more than kMostLevels levels.
void detection_loss(const Labels& labels, const LossLevel* levels, int64_t count, int64_t classes,
                    const LossSettings& settings, double* terms, float* parts, std::byte* scratch,
                    yolo::cuda::Stream stream, const Whole& whole = {}, const float* slope_scale = nullptr);

}  // namespace yolo::ops::cuda
