// From sums of products of bytes to bytes; see lanes.h for the linkage.
#pragma once

#include "program/kernels/activations.h"
#include "program/kernels/kernels.h"

namespace {

using yolo::program::ByteFinish;

typedef uint32_t LooseWords __attribute__((vector_size(V * 4), aligned(1), may_alias));

inline Words load_words(const int32_t* from) { return *reinterpret_cast<const LooseWords*>(from); }

inline void save_words(int32_t* to, Words x) { *reinterpret_cast<LooseWords*>(to) = x; }

// Outputs that are finished at once, step by step: one alone is a chain that a processor has to wait for.
constexpr int kAbreast = 6;

// x * sigmoid(x) to 1e-6, which bytes do not see.
#if defined(__AVX2__) && !defined(__AVX512F__)
template <int N>
inline void rough_silu(Floats* x) {
    constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23, as in power_of_two
    Floats r[N], p[N], q[N];
    Words whole[N];
#define YOLO_EACH _Pragma("GCC unroll 8") for (int i = 0; i < N; ++i)
    YOLO_EACH r[i] = at_least(at_most(x[i] * -1.44269504f, 126.0f), -126.0f);
    YOLO_EACH whole[i] = (Words)(r[i] + kMagic);
    YOLO_EACH r[i] = r[i] - ((Floats)whole[i] - kMagic);
    YOLO_EACH p[i] = r[i] * 0.0095701f + 0.055917859f;
    YOLO_EACH p[i] = p[i] * r[i] + 0.24024744f;
    YOLO_EACH p[i] = p[i] * r[i] + 0.69312179f;
    YOLO_EACH p[i] = p[i] * r[i] + 0.99999928f;
    YOLO_EACH p[i] = (Floats)((Words)p[i] + (whole[i] << 23)) + 1.0f;
    YOLO_EACH q[i] = (Floats)_mm256_rcp_ps((__m256)p[i]);  // 12 bits; a step of Newton's makes it 23
    YOLO_EACH x[i] = x[i] * (q[i] * (2.0f - p[i] * q[i]));
#undef YOLO_EACH
}
#else
template <int N>
inline void rough_silu(Floats* x) {
    for (int i = 0; i < N; ++i) x[i] = apply<Function::silu>(x[i], 0.0f);
}
#endif

template <Function C, int N>
inline void activate_some(Floats* x, float value) {
    if constexpr (C == Function::silu) return rough_silu<N>(x);
    for (int i = 0; i < N; ++i) x[i] = apply<C>(x[i], value);
}

// To the nearest, ties to even, within 0..255; NaN becomes 0.
inline void save_bytes(uint8_t* to, Floats x) {
#if defined(__AVX512F__)
    const __m512 bounded = _mm512_min_ps(_mm512_max_ps((__m512)x, _mm512_setzero_ps()), _mm512_set1_ps(255.0f));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(bounded)));
#elif defined(__AVX2__)
    // Packing bounds both ends, of what 32 bits hold.
    const __m256i whole = _mm256_cvtps_epi32((__m256)at_most(x, 1e9f));
    const __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(half, half));
#else
    x = x > 0.0f ? x : Floats{};
    const Words bits = (Words)(at_most(x, 255.0f) + 12582912.0f);  // 1.5 * 2^23 leaves no bits for fractions
    for (int64_t i = 0; i < V; ++i) to[i] = static_cast<uint8_t>(bits[i] & 0xffu);
#endif
}

inline Floats load_bytes(const uint8_t* from) {
    // GCC 12 converts a vector of bytes one by one.
#if defined(__AVX512F__)
    return (Floats)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
#elif defined(__AVX2__)
    return (Floats)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
#endif
    const Words whole = __builtin_convertvector(*reinterpret_cast<const Bytes*>(from), Words);
    return __builtin_convertvector((Ints)whole, Floats);
}

// `count` of V bytes, then zeros; or the way back.
inline void copy_some(const uint8_t* from, int64_t count, uint8_t* to) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i];
}

inline Floats first_of(Floats x, int64_t count) {
    for (int64_t i = count; i < V; ++i) x[i] = 0.0f;
    return x;
}

// A vector of channels, `count` of which are there, of each of N outputs that follow one another; `at`: numbers before
// the first.
template <Function C, bool Whole, int N>
inline void finish_bytes(const Words* sums, Floats scale, Floats shift, const ByteFinish& f, int64_t at,
                         int64_t residual_at, int64_t count) {
    Floats made[N];
    uint8_t some[V] = {};
    for (int i = 0; i < N; ++i) made[i] = __builtin_convertvector((Ints)sums[i], Floats) * scale + shift;
    activate_some<C, N>(made, f.activation.value);
    if (f.residual != nullptr) {
        const uint8_t* const residual = f.residual + residual_at;
        if (!Whole) copy_some(residual, count, some);
        for (int i = 0; i < N; ++i) {
            made[i] += (load_bytes(Whole ? residual + i * f.residual_stride : some) - f.residual_zero) * f.residual_step;
        }
    }
    if (f.bytes == nullptr) {
        for (int i = 0; i < N; ++i) save(f.floats + at + i * f.stride, Whole ? made[i] : first_of(made[i], count));
        return;
    }
    for (int i = 0; i < N; ++i) save_bytes(Whole ? f.bytes + at + i * f.stride : some, made[i] * f.steps + f.zero);
    if (!Whole) copy_some(some, count, f.bytes + at);
}

void quantise(const float* x, int64_t count, int64_t channels, float steps, float zero, uint8_t* bytes, int64_t stride) {
    for (int64_t p = 0; p < count; ++p, bytes += stride) {
        const Floats made = load(x + p * V) * steps + zero;
        if (channels == V) {
            save_bytes(bytes, made);
            continue;
        }
        uint8_t some[V];
        save_bytes(some, made);
        copy_some(some, channels, bytes);
    }
}

void dequantise(const uint8_t* bytes, int64_t stride, int64_t count, int64_t channels, float size, float zero, float* x) {
    for (int64_t p = 0; p < count; ++p, bytes += stride) {
        if (channels == V) {
            save(x + p * V, (load_bytes(bytes) - zero) * size);
            continue;
        }
        uint8_t some[V] = {};
        copy_some(bytes, channels, some);
        save(x + p * V, first_of((load_bytes(some) - zero) * size, channels));
    }
}

}  // namespace
