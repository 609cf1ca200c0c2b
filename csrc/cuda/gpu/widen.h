#pragma once

#include <cstdint>

#include "cuda/device.h"
#include "cuda/map.h"

namespace yolo::cuda {

// Numbers of 16 bits as float32.
void widen(const void* from, Number number, float* to, int64_t count, Stream stream);

}  // namespace yolo::cuda
