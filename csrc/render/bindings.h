// What csrc/render adds to the module yolo._native: the renderer of yolo.data.renderers.native.
#pragma once

#include <pybind11/pybind11.h>

namespace yolo {

void bind_render(pybind11::module_& module);

}  // namespace yolo
