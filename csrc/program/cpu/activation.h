// Activations by their names in model files.
#pragma once

#include <string>

#include "program/cpu/onednn.h"
#include "program/kernels/kernels.h"

namespace yolo::program {

// `value` is the slope of LeakyReLU or the alpha of ELU. Raises std::invalid_argument for a name that is unknown.
Activation activation(const std::string& name, float value);

// The same as oneDNN takes it. "Identity" is none to apply: ask first.
struct Eltwise {
    dnnl::algorithm algorithm;
    float alpha;
    float beta;
};
Eltwise eltwise(const Activation& activation);

}  // namespace yolo::program
