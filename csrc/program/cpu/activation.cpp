#include "program/cpu/activation.h"

#include <stdexcept>

namespace yolo::program {
namespace {

// An activation by its name in model files, and what it is to oneDNN.
struct Known {
    const char* name;
    Function function;
    dnnl::algorithm algorithm;
    float alpha, beta;
};
constexpr float kValue = -1.0f;  // in place of alpha: the step's own number

constexpr Known kKnown[] = {
    {"Identity", Function::identity, dnnl::algorithm::undef, 0.0f, 0.0f},
    {"SiLU", Function::silu, dnnl::algorithm::eltwise_swish, 1.0f, 0.0f},
    {"ReLU", Function::relu, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f},
    {"ReLU6", Function::relu6, dnnl::algorithm::eltwise_clip, 0.0f, 6.0f},
    {"LeakyReLU", Function::leaky_relu, dnnl::algorithm::eltwise_relu, kValue, 0.0f},
    {"Hardswish", Function::hardswish, dnnl::algorithm::eltwise_hardswish, 1.0f / 6.0f, 0.5f},
    {"Sigmoid", Function::sigmoid, dnnl::algorithm::eltwise_logistic, 0.0f, 0.0f},
    {"Mish", Function::mish, dnnl::algorithm::eltwise_mish, 0.0f, 0.0f},
    {"GELU", Function::gelu, dnnl::algorithm::eltwise_gelu_erf, 0.0f, 0.0f},
    {"Tanh", Function::tanh, dnnl::algorithm::eltwise_tanh, 0.0f, 0.0f},
    {"ELU", Function::elu, dnnl::algorithm::eltwise_elu, kValue, 0.0f},
};

const Known& known(const Step& step) {
    const std::string& name = step.text("activation");
    for (const Known& one : kKnown) {
        if (name == one.name) return one;
    }
    throw std::invalid_argument("unknown activation " + name);
}

float value_of(const Step& step) {
    return static_cast<float>(step.real("value"));
}

}  // namespace

Activation activation_of(const Step& step) {
    return {known(step).function, value_of(step)};
}

void append_activation(const Step& step, dnnl::post_ops& after) {
    const Known& found = known(step);
    if (found.function == Function::identity) return;
    after.append_eltwise(found.algorithm, found.alpha == kValue ? value_of(step) : found.alpha, found.beta);
}

}  // namespace yolo::program
