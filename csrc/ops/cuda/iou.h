// Overlap of boxes.
#pragma once

#include <cstdint>

#include "cuda/device.h"

namespace yolo::ops::cuda {

// a: n x 4, b: m x 4, both x1, y1, x2, y2; out: n x m. All on the device, addresses multiples of 16.
void pairwise_iou(const float* a, int64_t n, const float* b, int64_t m, float* out, yolo::cuda::Stream stream);

enum class Overlap { iou, giou, diou, ciou };

// Of each box of `a` with that of `b`: intersection over union; generalised (Rezatofighi et al. 2019); by distance,
// complete (Zheng et al. 2020). Both n x 4: centre x, y, width, height, sizes not negative; values: n; gradient: n x 4,
// d value / d a, or null. CIoU's alpha is taken for a constant. Computed in float64, because 1 - value of a good
// prediction is a small difference. Addresses are multiples of 16.
void overlap(Overlap kind, const float* a, const float* b, int64_t n, float* values, float* gradient,
             yolo::cuda::Stream stream);

}  // namespace yolo::ops::cuda
