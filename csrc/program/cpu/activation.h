// A step's activation.
#pragma once

#include "program/common/plan.h"
#include "program/cpu/onednn.h"
#include "program/kernels/kernels.h"

namespace yolo::program {

// As the kernels here take it. Raises std::invalid_argument for a name that is unknown.
Activation activation_of(const Step& step);

// As oneDNN takes it, behind other post-ops; nothing for "Identity".
void append_activation(const Step& step, dnnl::post_ops& after);

}  // namespace yolo::program
