#pragma once

#include <cstddef>
#include <vector>

#include "cuda/convolution.h"

namespace yolo::cuda::cudnn {

struct Algorithm;

// The number of the fastest of these candidates for one convolution, on operands of zeros: of one candidate, or where
// the device has no room for the operands, the first.
size_t fastest(const std::vector<Algorithm>& candidates, const ConvProblem& problem, const Epilogue& epilogue);

}  // namespace yolo::cuda::cudnn
