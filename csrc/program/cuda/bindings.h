#pragma once

#include <pybind11/pybind11.h>

namespace yolo::program::cuda {

void bind_cuda(pybind11::module_& module);
void bind_steps(pybind11::module_& module);
// Kernels that steps are made of, on arrays, for tests.
void bind_kernels(pybind11::module_& module);

}  // namespace yolo::program::cuda
