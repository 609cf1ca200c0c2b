#include "program/cpu/activation.h"

#include <map>
#include <stdexcept>

namespace yolo::program {

Activation activation(const std::string& name, float value) {
    static const auto* known = new std::map<std::string, Function>{
        {"Identity", Function::identity}, {"SiLU", Function::silu},           {"ReLU", Function::relu},
        {"ReLU6", Function::relu6},       {"LeakyReLU", Function::leaky_relu}, {"Hardswish", Function::hardswish},
        {"Sigmoid", Function::sigmoid},   {"Mish", Function::mish},           {"GELU", Function::gelu},
        {"Tanh", Function::tanh},         {"ELU", Function::elu}};
    const auto found = known->find(name);
    if (found == known->end()) throw std::invalid_argument("unknown activation " + name);
    return {found->second, value};
}

Eltwise eltwise(const Activation& activation) {
    using dnnl::algorithm;
    switch (activation.function) {
        case Function::silu: return {algorithm::eltwise_swish, 1.0f, 0.0f};
        case Function::relu: return {algorithm::eltwise_relu, 0.0f, 0.0f};
        case Function::relu6: return {algorithm::eltwise_clip, 0.0f, 6.0f};
        case Function::leaky_relu: return {algorithm::eltwise_relu, activation.value, 0.0f};
        case Function::hardswish: return {algorithm::eltwise_hardswish, 1.0f / 6.0f, 0.5f};
        case Function::sigmoid: return {algorithm::eltwise_logistic, 0.0f, 0.0f};
        case Function::mish: return {algorithm::eltwise_mish, 0.0f, 0.0f};
        case Function::gelu: return {algorithm::eltwise_gelu_erf, 0.0f, 0.0f};
        case Function::tanh: return {algorithm::eltwise_tanh, 0.0f, 0.0f};
        case Function::elu: return {algorithm::eltwise_elu, activation.value, 0.0f};
        default: throw std::invalid_argument("Identity is no activation to apply");
    }
}

}  // namespace yolo::program
