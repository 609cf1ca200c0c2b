// The passes of a convolution in bfloat16 that trains by AMX.
#pragma once

#include <string>

#include "program/cpu/training_convolution.h"

namespace yolo::program {

// Whether our kernels compute this pass: forward, and the gradient with respect to the source (`data`) where every pixel of it
// meets a weight.
bool amx_has(const Convolution& c, bool data);

// That pass. Raises std::invalid_argument on a processor without AMX.
CompiledStep amx_from_weights(BuildContext& context, const Spec& c, bool data, const TensorView& from, const TensorView& to,
                              const std::string& kind);

// Whether they compute the gradients of the weights: of a blocked source, and of plain images of few channels.
bool amx_has_gradient(const Convolution& c);

// That pass. `source`: where its values lie now. Raises as above.
CompiledStep amx_to_weights(BuildContext& context, const Spec& c, const TensorView& gradient, const TensorView& source);

}  // namespace yolo::program
