// Sums of maps.
#pragma once

#include <vector>

#include "cuda/device.h"
#include "cuda/map.h"

namespace yolo::program::cuda {

// target = the sum of the sources: at most kMostSources maps of its shape. Those have one type of numbers, the target
// the same or float32.
void accumulate(const std::vector<yolo::cuda::Map>& sources, const yolo::cuda::Map& target,
                yolo::cuda::Stream stream);

}  // namespace yolo::program::cuda
