// The passes of a convolution in bfloat16 that trains by AMX.
#pragma once

#include <string>

#include "program/cpu/training_convolution.h"

namespace yolo::program {

// Whether our kernels compute this pass: forward, and of stride 1 the gradient with respect to the source (`data`).
bool amx_has(const Convolution& c, bool data);

// That pass. Raises std::invalid_argument on a processor without AMX.
CompiledStep amx_from_weights(BuildContext& context, const Spec& c, bool data, const TensorView& from, const TensorView& to,
                              const std::string& kind);

}  // namespace yolo::program
