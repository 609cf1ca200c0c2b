// What builds the steps of each kind for a CUDA device. Each may raise std::invalid_argument, or DeviceError where the
// device cannot do it. The verifier has seen the whole plan before.
#pragma once

#include <vector>

#include "program/cuda/build_context.h"

namespace yolo::program::cuda {

using Builder = std::vector<CompiledStep>(BuildContext& context, const Step& step);
// Inference and training.
Builder build_load_images, build_store_head, build_resample, build_gather, build_scatter, build_attention,
    build_norm_act_add;
// Inference.
Builder build_conv;
// Training.
Builder build_conv_forward, build_conv_backward, build_load_head_gradient, build_resample_backward,
    build_attention_backward, build_norm_act_add_backward, build_norm_act_add_recompute, build_accumulate;

}  // namespace yolo::program::cuda
