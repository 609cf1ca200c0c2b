// Activations by their names in model files.
#pragma once

#include <string>

#include "program/cpu/onednn.h"

namespace yolo::program {

// oneDNN's name and numbers of an activation.
struct Activation {
    dnnl::algorithm algorithm;
    float alpha;
    float beta;
};

// `value` is the slope of LeakyReLU or the alpha of ELU. Raises std::invalid_argument for a name it does not know.
// "Identity" is not an activation to apply: ask first.
Activation activation(const std::string& name, float value);

}  // namespace yolo::program
