// 1x1 convolutions by kernels of our own.
#pragma once

#include <vector>

#include "program/cpu/build_context.h"

namespace yolo::program {

// A "conv" step whose algorithm is "matmul"; the verifier has seen that it fits (kinds_inference.cpp).
std::vector<CompiledStep> build_matmul_conv(BuildContext& context, const Step& step);

}  // namespace yolo::program
