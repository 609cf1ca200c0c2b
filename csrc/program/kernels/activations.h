// Activations and their grads on vectors; see lanes.h for the linkage.
#pragma once

#include "program/kernels/lanes.h"
#include "program/kernels/kernels.h"

namespace {

using yolo::program::Function;

// tanh(ln(1 + e^u)) = (e² + 2e) / (e² + 2e + 2) with e = e^u; 1 in float32 above 20.
inline Floats tanh_softplus(Floats u) {
    const Floats e = exponential(at_most(u, 20.0f));
    const Floats n = e * (e + 2.0f);
    return n / (n + 2.0f);
}

inline Floats normal_distribution(Floats u) {
    Floats result = u;
    for (int64_t i = 0; i < V; ++i) result[i] = 0.5f + 0.5f * __builtin_erff(u[i] * 0.70710678f);
    return result;
}

// As exact as numbers of this kind are.
template <class T>
inline Floats sigmoid_as(Floats u) {
    return sigmoid(u);
}

#ifdef __AVX512F__
template <>
inline Floats sigmoid_as<Bfloat16>(Floats u) {
    return short_sigmoid<false>(u);
}

// Few bytes are to be rounded to another side than by the full one.
template <>
inline Floats sigmoid_as<Byte>(Floats u) {
    return short_sigmoid<true>(u);
}
#endif

// `T`: what the result is written as.
template <Function C, class T = Float32>
inline Floats apply(Floats u, float value) {
    const Floats zero{};
    switch (C) {
        case Function::silu: return u * sigmoid_as<T>(u);
        case Function::relu: return u > 0.0f ? u : zero;
        case Function::relu6: return at_most(at_least(u, 0.0f), 6.0f);
        case Function::leaky_relu: return u > 0.0f ? u : u * value;
        case Function::hardswish: return u * at_most(at_least(u + 3.0f, 0.0f), 6.0f) / 6.0f;
        case Function::sigmoid: return sigmoid(u);
        case Function::mish: return u * tanh_softplus(u);
        case Function::gelu: return u * normal_distribution(u);
        case Function::tanh: return 2.0f * sigmoid(u + u) - 1.0f;
        case Function::elu: return u > 0.0f ? u : (exponential(u) - 1.0f) * value;
        default: return u;
    }
}

template <Function C, class T = Float32>
inline Floats grad_at(Floats u, float value) {
    const Floats zero{}, one = splat(1.0f);
    switch (C) {
        case Function::silu: {
            const Floats s = sigmoid_as<T>(u);
            return s * (u * (1.0f - s) + 1.0f);
        }
        case Function::relu: return u > 0.0f ? one : zero;
        case Function::relu6: return u > 0.0f ? (u < 6.0f ? one : zero) : zero;
        case Function::leaky_relu: return u > 0.0f ? one : splat(value);
        case Function::hardswish: return u < -3.0f ? zero : (u > 3.0f ? one : (2.0f * u + 3.0f) / 6.0f);
        case Function::sigmoid: {
            const Floats s = sigmoid(u);
            return s * (1.0f - s);
        }
        case Function::mish: {
            const Floats t = tanh_softplus(u);
            return t + u * (1.0f - t * t) * sigmoid(u);
        }
        case Function::gelu: return normal_distribution(u) + u * exponential(u * u * -0.5f) * 0.39894228f;
        case Function::tanh: {
            const Floats t = 2.0f * sigmoid(u + u) - 1.0f;
            return 1.0f - t * t;
        }
        case Function::elu: return u > 0.0f ? one : exponential(u) * value;
        default: return one;
    }
}

}  // namespace

// One template instance a function, chosen outside the loop.
#define YOLO_FOR_FUNCTION(f, call)                                   \
    switch ((f).function) {                                          \
        case Function::silu: return call(Function::silu);               \
        case Function::relu: return call(Function::relu);               \
        case Function::relu6: return call(Function::relu6);             \
        case Function::leaky_relu: return call(Function::leaky_relu);   \
        case Function::hardswish: return call(Function::hardswish);     \
        case Function::sigmoid: return call(Function::sigmoid);         \
        case Function::mish: return call(Function::mish);               \
        case Function::gelu: return call(Function::gelu);               \
        case Function::tanh: return call(Function::tanh);               \
        case Function::elu: return call(Function::elu);                 \
        default: return call(Function::identity);                    \
    }
