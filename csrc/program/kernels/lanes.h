// Vectors of `YOLO_LANES` numbers by GCC's and Clang's vector extensions, with a processor's own instructions where they
// save several. Everything here has internal linkage, and
// no standard template is used: this is compiled for several instruction sets, and a linker keeps one of equal names.
#pragma once

#include <cstdint>

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace {

constexpr int64_t V = YOLO_LANES;

typedef float Floats __attribute__((vector_size(V * 4)));
typedef int32_t Ints __attribute__((vector_size(V * 4)));
typedef uint32_t Words __attribute__((vector_size(V * 4)));
typedef float LooseFloats __attribute__((vector_size(V * 4), aligned(4), may_alias));
typedef uint16_t Halves __attribute__((vector_size(V * 2), aligned(2), may_alias));
typedef uint16_t Shorts __attribute__((vector_size(V * 2), aligned(1), may_alias));
typedef uint8_t Bytes __attribute__((vector_size(V), aligned(1), may_alias));

struct Float32 {
    static constexpr int64_t size = 4;
};
struct Bfloat16 {
    static constexpr int64_t size = 2;
};
struct Byte {
    static constexpr int64_t size = 1;
};

inline Floats splat(float value) { return Floats{} + value; }

inline Floats load(const float* from) { return *reinterpret_cast<const LooseFloats*>(from); }

inline void save(float* to, Floats x) { *reinterpret_cast<LooseFloats*>(to) = x; }

// Pixel `p` of a run.
template <class T>
inline Floats load(const void* from, int64_t p);

template <>
inline Floats load<Float32>(const void* from, int64_t p) {
    return load(static_cast<const float*>(from) + p * V);
}

template <>
inline Floats load<Bfloat16>(const void* from, int64_t p) {
    const Halves half = *reinterpret_cast<const Halves*>(static_cast<const uint16_t*>(from) + p * V);
    return (Floats)(__builtin_convertvector(half, Words) << 16);
}

template <class T>
inline void save(void* to, int64_t p, Floats x);

template <>
inline void save<Float32>(void* to, int64_t p, Floats x) {
    save(static_cast<float*>(to) + p * V, x);
}

template <>
inline void save<Bfloat16>(void* to, int64_t p, Floats x) {
#ifdef __AVX512BF16__
    const Halves rounded = (Halves)_mm512_cvtneps_pbh((__m512)x);
#else
    Words bits = (Words)x;
    bits += 0x7fff + ((bits >> 16) & 1);  // to the nearest, ties to even
    const Halves rounded = __builtin_convertvector(bits >> 16, Halves);
#endif
    *reinterpret_cast<Halves*>(static_cast<uint16_t*>(to) + p * V) = rounded;
}

#ifdef __AVX512F__
inline Floats at_least(Floats x, float low) { return (Floats)_mm512_max_ps((__m512)splat(low), (__m512)x); }

inline Floats at_most(Floats x, float high) { return (Floats)_mm512_min_ps((__m512)splat(high), (__m512)x); }
#elif defined(__AVX2__)
inline Floats at_least(Floats x, float low) { return (Floats)_mm256_max_ps((__m256)splat(low), (__m256)x); }

inline Floats at_most(Floats x, float high) { return (Floats)_mm256_min_ps((__m256)splat(high), (__m256)x); }
#else
inline Floats at_least(Floats x, float low) { return x < low ? splat(low) : x; }

inline Floats at_most(Floats x, float high) { return x > high ? splat(high) : x; }
#endif

// 2^t: the nearest integer goes into the exponent, the rest r into the Taylor series of degree 6 (of degree 5 it is
// 2e-7 off, which a deep network makes 1e-3 of its first gradients).
inline Floats power_of_two(Floats t) {
#ifdef __AVX512F__
    const Floats whole = (Floats)_mm512_roundscale_ps((__m512)t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const Floats r = t - whole;
#else
    constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer that lies in the low bits
    t = at_most(at_least(t, -126.0f), 126.0f);
    const Floats shifted = t + kMagic;
    const Floats r = t - (shifted - kMagic);
#endif
    Floats p = r * 1.5403530e-4f + 1.3333558e-3f;
    p = p * r + 9.6181291e-3f;
    p = p * r + 5.5504109e-2f;
    p = p * r + 2.4022651e-1f;
    p = p * r + 6.9314718e-1f;
    p = p * r + 1.0f;
#ifdef __AVX512F__
    return (Floats)_mm512_scalef_ps((__m512)p, (__m512)whole);
#else
    return p * (Floats)(((Words)shifted << 23) + 0x3f800000u);
#endif
}

inline Floats exponential(Floats x) { return power_of_two(x * 1.44269504f); }

inline Floats sigmoid(Floats x) {
    const Floats d = power_of_two(at_most(x * -1.44269504f, 126.0f)) + 1.0f;
#ifdef __AVX512F__
    const Floats q = (Floats)_mm512_rcp14_ps((__m512)d);  // 14 bits; a step of Newton's makes it 28
    return q * (2.0f - d * q);
#else
    return 1.0f / d;
#endif
}

#ifdef __AVX512F__
// 1 / (1 + e^-x) to 13 bits or 20: series of degree 3 and 4 for 2^r (minimax: 7.5e-5, 2.6e-6), then a reciprocal of 14 bits,
// which a step of Newton's makes 28.
template <bool kFine>
inline Floats short_sigmoid(Floats x) {
    const Floats t = kFine ? at_most(x * -1.44269504f, 126.0f) : x * -1.44269504f;
    const Floats whole = (Floats)_mm512_roundscale_ps((__m512)t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const Floats r = t - whole;
    const Floats p = kFine ? (((r * 0.0095701f + 0.055917859f) * r + 0.24024744f) * r + 0.69312179f) * r + 0.99999928f
                           : ((r * 0.05517132f + 0.24261054f) * r + 0.69326099f) * r + 0.99992811f;
    const Floats d = (Floats)_mm512_scalef_ps((__m512)p, (__m512)whole) + 1.0f;
    const Floats q = (Floats)_mm512_rcp14_ps((__m512)d);
    return kFine ? q * (2.0f - d * q) : q;
}
#endif

}  // namespace
