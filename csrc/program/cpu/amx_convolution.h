// Convolutions of bfloat16 by AMX.
#pragma once

#include <vector>

#include "program/cpu/build_context.h"

namespace yolo::program {

// A "conv" step whose algorithm is "amx"; the verifier has seen that it fits (kinds_inference.cpp). Raises
// std::invalid_argument on a processor without AMX.
std::vector<CompiledStep> build_amx_conv(BuildContext& context, const Step& step);

}  // namespace yolo::program
