// What must hold of a plan before it is built, whoever made it: builders and kernels check nothing themselves.
#pragma once

#include "program/common/limits.h"
#include "program/common/plan.h"

namespace yolo::program {

// Raises std::invalid_argument, in one line that names the step ("<where>: <what is wrong>"), unless
// - the memory for the maps is within the limits, and every view lies inside of it;
// - every step is of a known kind, has that kind's views and attributes and no others, and they fit one another;
// - no step writes a view over another one of its own, except where its kind may do so in place;
// - a backward step names a forward step of its kind, and every head is stored once;
// - every step reads what a step before it has left there (verify_flow.cpp).
void verify(const Plan& plan, const Limits& limits);

}  // namespace yolo::program
