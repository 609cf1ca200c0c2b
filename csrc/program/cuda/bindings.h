#pragma once

#include <pybind11/pybind11.h>

namespace yolo::program::cuda {

void bind_cuda(pybind11::module_& module);

}  // namespace yolo::program::cuda
