#pragma once

#include <pybind11/pybind11.h>

#include "program/common/plan.h"

namespace yolo::program {

// The plan that a yolo.program.plan.Plan is. Raises py::cast_error or std::invalid_argument for an invalid one.
Plan plan_of(const pybind11::object& given);

void bind_common(pybind11::module_& module);

}  // namespace yolo::program
