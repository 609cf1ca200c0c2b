// What builds the steps of each kind: kernels are chosen, scratch is taken. Each may raise std::invalid_argument, or
// std::runtime_error where oneDNN has only a reference kernel. The verifier has seen the whole plan before.
#pragma once

#include <vector>

#include "program/cpu/build_context.h"

namespace yolo::program {

using Builder = std::vector<CompiledStep>(BuildContext& context, const Step& step);
// Inference and training.
Builder build_load_images, build_store_head, build_resample, build_gather, build_scatter, build_attention,
    build_norm_act_add;
// Inference.
Builder build_conv, build_int8_conv, build_quantise, build_dequantise, build_copy_bytes;
// Training.
Builder build_conv_forward, build_conv_backward, build_load_head_gradient, build_resample_backward,
    build_attention_backward, build_norm_act_add_backward, build_norm_act_add_recompute, build_accumulate;

}  // namespace yolo::program
