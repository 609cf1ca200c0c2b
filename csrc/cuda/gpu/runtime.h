// Calls of the CUDA runtime.
#pragma once

#include <cuda_runtime_api.h>

namespace yolo::cuda {

// Raises DeviceError, in one line, unless it went well: what was tried, and what the runtime says.
void check(cudaError_t status, const char* trying);

}  // namespace yolo::cuda
