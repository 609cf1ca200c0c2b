// What each folder adds to the module yolo._native.
#pragma once

#include <pybind11/pybind11.h>

namespace yolo {

// Operators that Python calls on arrays, without a program.
void bind_ops(pybind11::module_& module);

namespace net {
void bind_net(pybind11::module_& module);
}

namespace program {
void bind_cpu(pybind11::module_& module);
void bind_detection(pybind11::module_& module);
void bind_step(pybind11::module_& module);
}  // namespace program

}  // namespace yolo
