// What follows a convolution that does not do it itself.
#pragma once

#include <string>

#include "cuda/device.h"
#include "cuda/map.h"

namespace yolo::program::cuda {

// In place: x = f(x + bias) + residual, and zeros in the lanes behind the last channel. `bias`: a number a channel, or
// null; `activation`: by its name, or "" for none, with its `value`; `residual`: of the target's shape and numbers, or
// null. Raises std::invalid_argument for an unknown activation.
void epilogue(const yolo::cuda::Map& target, const float* bias, const std::string& activation, float value,
              const yolo::cuda::Map* residual, yolo::cuda::Stream stream);

// Zeros in the lanes behind the last channel alone.
void clear_lanes(const yolo::cuda::Map& target, yolo::cuda::Stream stream);

}  // namespace yolo::program::cuda
