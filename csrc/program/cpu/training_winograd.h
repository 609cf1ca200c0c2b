// The passes of a 3x3 convolution that trains by Winograd's algorithm.
#pragma once

#include <string>

#include "program/cpu/training_convolution.h"
#include "program/kernels/kernels.h"

namespace yolo::program {

// The two passes that read weights; `data`: the gradient with respect to the source.
CompiledStep winograd_from_weights(BuildContext& context, const Spec& c, WinogradForm form, bool data,
                                   const TensorView& from, const TensorView& to, const std::string& kind);
// To the gradients of the weights. `values`: where the source's values lie now.
CompiledStep winograd_to_weights(BuildContext& context, const Spec& c, WinogradForm form, const TensorView& gradient,
                                 const TensorView& values);

}  // namespace yolo::program
