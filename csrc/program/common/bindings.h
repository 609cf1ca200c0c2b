#pragma once

#include <pybind11/numpy.h>

#include <cstdint>

#include "program/common/plan.h"

namespace yolo::program {

// The plan that a yolo.program.plan.Plan is. Raises py::cast_error or std::invalid_argument for an invalid one.
Plan plan_of(const pybind11::object& given);

// What programs take and give as vectors and heads.
using Floats = pybind11::array_t<float, pybind11::array::c_style>;

// Both raise ValueError, naming the array: one that is not C-contiguous or has another shape or dtype; a vector of fewer
// numbers, or one that is read-only.
void check(const pybind11::array& array, const Numbers& shape, const pybind11::dtype& dtype, const char* name);
float* vector_of(Floats& vector, int64_t least, const char* name);

void bind_common(pybind11::module_& module);

}  // namespace yolo::program
