// What csrc/ops adds to the module yolo._native: operators that Python calls on arrays, without a program.
#pragma once

#include <pybind11/pybind11.h>

namespace yolo {

void bind_ops(pybind11::module_& module);

}  // namespace yolo
