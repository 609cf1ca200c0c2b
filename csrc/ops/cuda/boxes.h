// A box, x1, y1, x2, y2, in the arithmetic of the CPU's operators.
#pragma once

#include <cstdint>

#include "cuda/words.h"
#include "ops/cuda/exact.h"

namespace yolo::ops::cuda {

// As std::max and std::min have it: the first where the two do not compare.
YOLO_DEVICE float larger(float a, float b) {
    return a < b ? b : a;
}

YOLO_DEVICE float smaller(float a, float b) {
    return b < a ? b : a;
}

struct alignas(16) Box {
    float x1, y1, x2, y2;

    YOLO_DEVICE float area() const { return product(x2 - x1, y2 - y1); }
    YOLO_DEVICE float intersection(const Box& other) const {
        return product(larger(0.0f, smaller(x2, other.x2) - larger(x1, other.x1)),
                       larger(0.0f, smaller(y2, other.y2) - larger(y1, other.y1)));
    }
    YOLO_DEVICE Box shifted(float by) const { return {x1 + by, y1 + by, x2 + by, y2 + by}; }
};

// Addresses are multiples of 16.
YOLO_DEVICE Box load_box(const float* from) {
    return *reinterpret_cast<const Box*>(from);
}

YOLO_DEVICE void store_box(float* to, const Box& box) {
    *reinterpret_cast<Box*>(to) = box;
}

}  // namespace yolo::ops::cuda
