// Convolutions of bytes by kernels of our own, for processors without VNNI.
#pragma once

#include <vector>

#include "program/cpu/build_context.h"

namespace yolo::program {

// An "int8_conv" step whose algorithm is "fours"; the verifier has seen that it fits (kinds_inference.cpp).
std::vector<CompiledStep> build_fours_conv(BuildContext& context, const Step& step);

// The same where it is "winograd".
std::vector<CompiledStep> build_int8_winograd_conv(BuildContext& context, const Step& step);

}  // namespace yolo::program
