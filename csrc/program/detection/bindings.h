// What this folder adds to the module yolo._native.
#pragma once

#include <pybind11/pybind11.h>

namespace yolo::program {

void bind_detection(pybind11::module_& module);

}  // namespace yolo::program
