#include "program/cuda/cuda.h"

namespace yolo::program::cuda {

std::string unavailable() {
    return "this build has no executor for CUDA: csrc/program/cuda holds none yet that could be built instead of no_cuda.cpp";
}

}  // namespace yolo::program::cuda
