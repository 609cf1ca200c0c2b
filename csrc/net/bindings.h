// What this folder adds to the module yolo._native.
#pragma once

#include <pybind11/pybind11.h>

namespace yolo::net {

void bind_net(pybind11::module_& module);

}  // namespace yolo::net
