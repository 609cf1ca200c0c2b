// Where maps meet plain layouts: images in, heads out, gradients of heads in. All addresses are the device's.
#pragma once

#include <cstdint>

#include "cuda/device.h"
#include "cuda/map.h"

namespace yolo::program::cuda {

// target = images / divisor; images: uint8 [images, channels, height, width] of the target's sizes.
void load_images(const uint8_t* images, const yolo::cuda::Map& target, float divisor, yolo::cuda::Stream stream);

// head = source; head: float32 [images, channels, height, width].
void store_head(const yolo::cuda::Map& source, float* head, yolo::cuda::Stream stream);

// target = gradient, which lies as a head.
void load_head(const float* gradient, const yolo::cuda::Map& target, yolo::cuda::Stream stream);

}  // namespace yolo::program::cuda
