// Activations and their derivatives, on one number; program/kernels/activations.h has the same on vectors of the CPU's.
#pragma once

#include <cmath>
#include <stdexcept>
#include <string>

#include "cuda/words.h"

namespace yolo::program::cuda {

enum class Function { identity, silu, relu, relu6, leaky_relu, hardswish, sigmoid, mish, gelu, tanh, elu };

// `value` is the slope of leaky_relu or the alpha of elu.
struct Activation {
    Function function = Function::identity;
    float value = 0.0f;
};

// By its name in model files. Raises std::invalid_argument for a name that is unknown.
inline Activation activation_of(const std::string& name, double value) {
    constexpr const char* kNames[] = {"Identity", "SiLU",    "ReLU", "ReLU6", "LeakyReLU", "Hardswish",
                                      "Sigmoid",  "Mish",    "GELU", "Tanh",  "ELU"};
    int number = 0;
    for (const char* known : kNames) {
        if (name == known) return {static_cast<Function>(number), static_cast<float>(value)};
        ++number;
    }
    throw std::invalid_argument("unknown activation " + name);
}

// Within 2 units of the last place on a GPU, which takes several times as long for the last one. Divisors below 2^126.
YOLO_DEVICE float quotient(float a, float b) {
#ifdef __CUDA_ARCH__
    return __fdividef(a, b);
#else
    return a / b;
#endif
}

YOLO_DEVICE float sigmoid(float u) {
    return quotient(1.0f, 1.0f + expf(-u));
}

// tanh(ln(1 + e^u)) = (e^2 + 2e) / (e^2 + 2e + 2) with e = e^u; 1 in float32 above 20.
YOLO_DEVICE float tanh_softplus(float u) {
    const float e = expf(u > 20.0f ? 20.0f : u), n = e * (e + 2.0f);
    return quotient(n, n + 2.0f);
}

YOLO_DEVICE float normal_distribution(float u) {
    return 0.5f + 0.5f * erff(u * 0.70710678f);
}

template <Function F>
YOLO_DEVICE float apply(float u, float value) {
    switch (F) {
        case Function::silu: return u * sigmoid(u);
        case Function::relu: return u > 0.0f ? u : 0.0f;
        case Function::relu6: return u < 0.0f ? 0.0f : (u > 6.0f ? 6.0f : u);
        case Function::leaky_relu: return u > 0.0f ? u : u * value;
        case Function::hardswish: return u * (u < -3.0f ? 0.0f : (u > 3.0f ? 6.0f : u + 3.0f)) * (1.0f / 6.0f);
        case Function::sigmoid: return sigmoid(u);
        case Function::mish: return u * tanh_softplus(u);
        case Function::gelu: return u * normal_distribution(u);
        case Function::tanh: return tanhf(u);
        case Function::elu: return u > 0.0f ? u : expm1f(u) * value;
        case Function::identity: break;
    }
    return u;
}

// The derivative.
template <Function F>
YOLO_DEVICE float grad_at(float u, float value) {
    switch (F) {
        case Function::silu: {
            const float s = sigmoid(u);
            return s * (u * (1.0f - s) + 1.0f);
        }
        case Function::relu: return u > 0.0f ? 1.0f : 0.0f;
        case Function::relu6: return u > 0.0f ? (u < 6.0f ? 1.0f : 0.0f) : 0.0f;
        case Function::leaky_relu: return u > 0.0f ? 1.0f : value;
        case Function::hardswish: return u < -3.0f ? 0.0f : (u > 3.0f ? 1.0f : (2.0f * u + 3.0f) * (1.0f / 6.0f));
        case Function::sigmoid: {
            const float s = sigmoid(u);
            return s * (1.0f - s);
        }
        case Function::mish: {
            const float t = tanh_softplus(u);
            return t + u * (1.0f - t * t) * sigmoid(u);
        }
        case Function::gelu: return normal_distribution(u) + u * expf(u * u * -0.5f) * 0.39894228f;
        case Function::tanh: {
            const float t = tanhf(u);
            return 1.0f - t * t;
        }
        case Function::elu: return u > 0.0f ? 1.0f : expf(u) * value;
        case Function::identity: break;
    }
    return 1.0f;
}

template <Function F>
struct OfFunction {
    static constexpr Function function = F;
};

// Calls action(OfFunction<...>()): one instance of a kernel a function.
template <class Action>
void with_function(Function function, const Action& action) {
    switch (function) {
        case Function::identity: return action(OfFunction<Function::identity>());
        case Function::silu: return action(OfFunction<Function::silu>());
        case Function::relu: return action(OfFunction<Function::relu>());
        case Function::relu6: return action(OfFunction<Function::relu6>());
        case Function::leaky_relu: return action(OfFunction<Function::leaky_relu>());
        case Function::hardswish: return action(OfFunction<Function::hardswish>());
        case Function::sigmoid: return action(OfFunction<Function::sigmoid>());
        case Function::mish: return action(OfFunction<Function::mish>());
        case Function::gelu: return action(OfFunction<Function::gelu>());
        case Function::tanh: return action(OfFunction<Function::tanh>());
        case Function::elu: return action(OfFunction<Function::elu>());
    }
}

}  // namespace yolo::program::cuda
