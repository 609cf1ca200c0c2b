#pragma once

#include <pybind11/pybind11.h>

namespace yolo::program {

// Adds the executor to a module in which Runnable is registered.
void bind_cpu(pybind11::module_& module);

}  // namespace yolo::program
