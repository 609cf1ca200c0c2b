// The passes of a 1x1 convolution that trains by kernels of our own.
#pragma once

#include <string>

#include "program/cpu/training_convolution.h"

namespace yolo::program {

// The two passes that read weights; `data`: the gradient with respect to the source.
CompiledStep matmul_from_weights(BuildContext& context, const Spec& c, bool data, const TensorView& from,
                                 const TensorView& to, const std::string& kind);
// To the gradients of the weights. `values`: where the source's values lie now.
CompiledStep matmul_to_weights(BuildContext& context, const Spec& c, const TensorView& gradient,
                               const TensorView& values);

}  // namespace yolo::program
