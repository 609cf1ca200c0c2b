// Convolutions of bytes for processors that have no instruction for them; see lanes.h for the linkage.
//
// Eight bytes of a map by eight weights each are two multiplications of pairs, whose sums of four products lie in 16
// bits, and one that adds up in 32: five instructions, where whole pairs take six. The weights are such that no sum of
// four leaves 16 bits (int8/weights.py), so results are exact. Of a map whose channels lie together, what an output takes
// from one row of its kernel is one run, so a convolution of any size is a few products of runs.
#pragma once

#include "program/kernels/bytes.h"
#include "program/kernels/kernels.h"

namespace {

using yolo::program::ByteConv;
using yolo::program::ByteFinish;

// Outputs at once, one vector of channels each: as many as there are registers for.
#if defined(__AVX512F__)
constexpr int kPlaces = 16;
#elif defined(__AVX2__)
constexpr int kPlaces = 8;
#else
constexpr int kPlaces = 2;
#endif
// Bytes of a run that are multiplied at once.
constexpr int64_t kStep = 8;

typedef uint32_t LooseWord __attribute__((aligned(1), may_alias));

// sum + the products of eight bytes and of 8 x V weights, four of each channel and then the other four.
inline Words add_products(Words sum, const uint8_t* bytes, const int8_t* weights) {
#ifdef __AVX2__
    const Words low = Words{} + *reinterpret_cast<const LooseWord*>(bytes);
    const Words high = Words{} + *reinterpret_cast<const LooseWord*>(bytes + 4);
    const Words first = *reinterpret_cast<const LooseWords*>(weights);
    const Words second = *reinterpret_cast<const LooseWords*>(weights + 4 * V);
#endif
#if defined(__AVX512BW__)
    const __m512i fours = _mm512_add_epi16(_mm512_maddubs_epi16((__m512i)low, (__m512i)first),
                                           _mm512_maddubs_epi16((__m512i)high, (__m512i)second));
    return sum + (Words)_mm512_madd_epi16(fours, _mm512_set1_epi16(1));
#elif defined(__AVX2__)
    const __m256i fours = _mm256_add_epi16(_mm256_maddubs_epi16((__m256i)low, (__m256i)first),
                                           _mm256_maddubs_epi16((__m256i)high, (__m256i)second));
    return sum + (Words)_mm256_madd_epi16(fours, _mm256_set1_epi16(1));
#else
    for (int64_t i = 0; i < kStep * V; ++i) {
        const int32_t product = bytes[i / (4 * V) * 4 + i % 4] * weights[i];
        sum[i / 4 % V] += static_cast<uint32_t>(product);
    }
    return sum;
#endif
}

template <int R>
inline void product_of_places(const uint8_t* const* places, const ByteConv& c, const int8_t* weights, int32_t* sums) {
    Words sum[R] = {};
    const uint8_t* at[R];
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) at[i] = places[i];
    for (int64_t run = 0; run < c.runs; ++run) {
        for (int64_t byte = 0; byte < c.length; byte += kStep, weights += kStep * V) {
#pragma GCC unroll 16
            for (int i = 0; i < R; ++i) sum[i] = add_products(sum[i], at[i] + byte, weights);
        }
#pragma GCC unroll 16
        for (int i = 0; i < R; ++i) at[i] += c.run_step;
    }
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) save_words(sums + i * V, sum[i]);
}

template <int R>
void product_of_some(int64_t count, const uint8_t* const* places, const ByteConv& c, const int8_t* weights,
                     int32_t* sums) {
    if (count == R) return product_of_places<R>(places, c, weights, sums);
    if constexpr (R > 1) product_of_some<R - 1>(count, places, c, weights, sums);
}

void byte_sums(const uint8_t* bytes, const ByteConv& c, int64_t outputs, const int8_t* weights, int32_t* sums) {
    const int64_t groups = (outputs + kPlaces - 1) / kPlaces;
    const uint8_t* place = bytes;
    int64_t x = 0;
    for (int64_t group = 0; group < groups; ++group) {
        const int64_t first = outputs * group / groups, count = outputs * (group + 1) / groups - first;
        const uint8_t* places[kPlaces];
        for (int64_t i = 0; i < count; ++i) {
            places[i] = place;
            place += c.column_step;
            if (++x == c.width) place = bytes += c.row_step, x = 0;
        }
        product_of_some<kPlaces>(count, places, c, weights, sums + first * V);
    }
}

// `f` is a copy, which bytes that are written may not be part of.
template <Function C>
void byte_finish_as(const int32_t* sums, const ByteFinish f, int64_t outputs, int64_t channels) {
    const Floats scale = load(f.scale), shift = load(f.shift);
    const Words offset = load_words(f.offset);
    int64_t i = 0;
    for (; channels == V && i + kAbreast <= outputs; i += kAbreast) {
        Words sum[kAbreast];
        for (int k = 0; k < kAbreast; ++k) sum[k] = load_words(sums + (i + k) * V) + offset;
        finish_bytes<C, true, kAbreast>(sum, scale, shift, f, i * f.stride, i * f.residual_stride, V);
    }
    for (; i < outputs; ++i) {
        const Words sum = load_words(sums + i * V) + offset;
        const int64_t at = i * f.stride, residual_at = i * f.residual_stride;
        channels == V ? finish_bytes<C, true, 1>(&sum, scale, shift, f, at, residual_at, V)
                      : finish_bytes<C, false, 1>(&sum, scale, shift, f, at, residual_at, channels);
    }
}

void byte_finish(const int32_t* sums, const ByteFinish& f, int64_t outputs, int64_t channels) {
#define YOLO_CALL(C) byte_finish_as<C>(sums, f, outputs, channels)
    YOLO_FOR_FUNCTION(f.activation, YOLO_CALL)
#undef YOLO_CALL
}

}  // namespace
