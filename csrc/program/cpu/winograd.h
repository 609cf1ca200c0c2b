// Convolutions by Winograd's algorithm.
#pragma once

#include <vector>

#include "program/cpu/build_context.h"

namespace yolo::program {

// A "conv" step whose algorithm is "winograd" (tiles of 4x4 outputs) or "winograd_2x2" (stride 2); the verifier has seen that it fits (kinds_inference.cpp).
std::vector<CompiledStep> build_winograd_conv(BuildContext& context, const Step& step);

}  // namespace yolo::program
