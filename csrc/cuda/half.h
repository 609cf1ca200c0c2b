// Numbers of 16 bits, and how they and float32 become one another: rounded to nearest, ties to even.
#pragma once

#include <cstdint>
#include <cstring>

#include "cuda/words.h"
#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

namespace yolo::cuda {

// IEEE 754 binary16.
struct Half {
    uint16_t bits;
};

// The upper half of a float32.
struct Bfloat16 {
    uint16_t bits;
};

YOLO_DEVICE uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

YOLO_DEVICE float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

YOLO_DEVICE float to_float(float value) {
    return value;
}

YOLO_DEVICE float to_float(Bfloat16 value) {
    return float_of(static_cast<uint32_t>(value.bits) << 16);
}

YOLO_DEVICE float to_float(Half value) {
#ifdef __CUDA_ARCH__
    return __half2float(__ushort_as_half(value.bits));
#else
    const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000u) << 16;
    const uint32_t exponent = (value.bits >> 10) & 31u, fraction = value.bits & 1023u;
    if (exponent == 31) return float_of(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) return float_of(sign | bits_of(static_cast<float>(fraction) * 0x1p-24f));
    return float_of(sign | (exponent + 112) << 23 | fraction << 13);
#endif
}

template <class T>
struct Rounded;

template <>
struct Rounded<float> {
    YOLO_DEVICE static float of(float value) { return value; }
};

template <>
struct Rounded<Bfloat16> {
    YOLO_DEVICE static Bfloat16 of(float value) {
        const uint32_t bits = bits_of(value);
        if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
        return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
    }
};

template <>
struct Rounded<Half> {
    YOLO_DEVICE static Half of(float value) {
#ifdef __CUDA_ARCH__
        return {__half_as_ushort(__float2half_rn(value))};
#else
        const uint32_t bits = bits_of(value), sign = (bits >> 16) & 0x8000u, size = bits & 0x7fffffffu;
        if (size > 0x7f800000u) return {0x7fff};
        if (size >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};  // 65520 and above
        if (size < 0x38800000u) {                                                // below the smallest normal one, 2^-14
            const float shifted = float_of(size) + 0.5f;  // the sum's last bit is 2^-24, so adding rounds
            return {static_cast<uint16_t>(sign | (bits_of(shifted) - bits_of(0.5f)))};
        }
        const uint32_t rounded = size + 0xfffu + ((size >> 13) & 1u);
        return {static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13))};
#endif
    }
};

// A float32 as T.
template <class T>
YOLO_DEVICE T rounded(float value) {
    return Rounded<T>::of(value);
}

}  // namespace yolo::cuda
