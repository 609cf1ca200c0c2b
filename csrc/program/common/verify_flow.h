#pragma once

#include "program/common/kinds.h"

namespace yolo::program {

// Raises std::invalid_argument where a step reads what no step before it has written through the same buffer, or what
// another buffer has been written over since: so maps that are needed at the same time never share memory. Views and
// steps hold by themselves (verify.cpp) by then.
void check_flow(const Plan& plan, const Kinds& kinds);

}  // namespace yolo::program
