// Operators on arrays, for tests: each copies its arguments to the device and its results back. A Timer, for benchmarks,
// runs them again meanwhile.
#pragma once

#include <pybind11/pybind11.h>

namespace yolo::ops::cuda {

// Letterbox, decoding, suppression, overlap of boxes.
void bind_detection(pybind11::module_& module);
// Matching and the loss.
void bind_loss(pybind11::module_& module);
// Optimizers, clipping, moving averages.
void bind_update(pybind11::module_& module);

}  // namespace yolo::ops::cuda
