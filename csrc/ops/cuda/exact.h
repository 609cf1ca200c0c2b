// Products that are rounded before they are added to anything, so that a GPU has the numbers of the CPU's operators:
// by itself nvcc makes one fused operation of a product and a sum.
#pragma once

#include "cuda/words.h"

namespace yolo::ops::cuda {

YOLO_DEVICE float product(float a, float b) {
#ifdef __CUDA_ARCH__
    return __fmul_rn(a, b);
#else
    return a * b;
#endif
}

YOLO_DEVICE double product(double a, double b) {
#ifdef __CUDA_ARCH__
    return __dmul_rn(a, b);
#else
    return a * b;
#endif
}

}  // namespace yolo::ops::cuda
