// Convolutions by AMX.
#pragma once

#include <vector>

#include "program/cpu/build_context.h"

namespace yolo::program {

// A "conv" or "int8_conv" step whose algorithm is "amx"; the verifier has seen that it fits (kinds_inference.cpp). Both raise
// std::invalid_argument on a processor without AMX.
std::vector<CompiledStep> build_amx_conv(BuildContext& context, const Step& step);
std::vector<CompiledStep> build_amx_int8_conv(BuildContext& context, const Step& step);

}  // namespace yolo::program
