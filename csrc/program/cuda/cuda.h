// Plans on CUDA devices. A build for CUDA has an executor of its own here; every other build has no_cuda.cpp.
#pragma once

#include <string>

namespace yolo::program::cuda {

// Why plans do not run on a CUDA device, in one line; empty where they do.
std::string unavailable();

}  // namespace yolo::program::cuda
