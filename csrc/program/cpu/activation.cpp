#include "program/cpu/activation.h"

#include <map>
#include <stdexcept>

namespace yolo::program {

Activation activation(const std::string& name, float value) {
    using dnnl::algorithm;
    static const std::map<std::string, Activation> known{
        {"SiLU", {algorithm::eltwise_swish, 1.f, 0.f}},
        {"ReLU", {algorithm::eltwise_relu, 0.f, 0.f}},
        {"ReLU6", {algorithm::eltwise_clip, 0.f, 6.f}},
        {"Hardswish", {algorithm::eltwise_hardswish, 1.f / 6.f, 0.5f}},
        {"Mish", {algorithm::eltwise_mish, 0.f, 0.f}},
        {"GELU", {algorithm::eltwise_gelu_erf, 0.f, 0.f}},
        {"Sigmoid", {algorithm::eltwise_logistic, 0.f, 0.f}},
        {"Tanh", {algorithm::eltwise_tanh, 0.f, 0.f}},
    };
    if (name == "LeakyReLU") return {algorithm::eltwise_relu, value, 0.f};
    if (name == "ELU") return {algorithm::eltwise_elu, value, 0.f};
    const auto found = known.find(name);
    if (found == known.end()) throw std::invalid_argument("unknown activation " + name);
    return found->second;
}

}  // namespace yolo::program
