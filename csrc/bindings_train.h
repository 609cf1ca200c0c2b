// The operators of training in the private module yolo._C.
#pragma once

#include <pybind11/pybind11.h>

namespace yolo::bindings {

// Adds detection_loss and update_parameters.
void add_training(pybind11::module_& module);

}  // namespace yolo::bindings
