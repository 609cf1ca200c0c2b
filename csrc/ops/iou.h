// Overlap of every box of one set with every box of another.
#pragma once

#include <cstdint>

namespace yolo::ops {

// a: n x 4, b: m x 4, both x1, y1, x2, y2; out: n x m.
void pairwise_iou(const float* a, int64_t n, const float* b, int64_t m, float* out);

}  // namespace yolo::ops
