// Gradients of the weights of a convolution in bfloat16 by AMX: sums over all places of a source times an output's gradient;
// see lanes.h for the linkage.
//
// A product's rows are channels of the source, so its places lie together in a copy that is turned, where another tap of the
// kernel is the same row from some places further on. The other side takes pairs of places of a channel block.
#pragma once

#include "program/kernels/amx.h"

namespace {

using yolo::program::AmxGradient;

#ifdef __AMX_BF16__

constexpr int64_t kPlacesAtOnce = 32;

template <bool kTwoSources, bool kTwoTargets>
inline void gradient_of_tap(const std::byte* source, const std::byte* target, const AmxGradient& g, float* sums) {
    if (g.first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, sums, 64);
        if (kTwoTargets) _tile_loadd(1, sums + V * V, 64);
        if (kTwoSources) _tile_loadd(2, sums + g.source_sums, 64);
        if (kTwoSources && kTwoTargets) _tile_loadd(3, sums + g.source_sums + V * V, 64);
    }
    for (int64_t place = 0; place < g.places; place += kPlacesAtOnce, source += 64, target += 1024) {
        _tile_loadd(4, source, g.pitch);
        _tile_loadd(6, target, 64);
        HalfProducts::first_outputs_first_channels();
        if (kTwoTargets) {
            _tile_loadd(7, target + g.target_step, 64);
            HalfProducts::first_outputs_second_channels();
        }
        if (kTwoSources) {
            _tile_loadd(5, source + g.source_step, g.pitch);
            HalfProducts::second_outputs_first_channels();
            if (kTwoTargets) HalfProducts::second_outputs_second_channels();
        }
    }
    _tile_stored(0, sums, 64);
    if (kTwoTargets) _tile_stored(1, sums + V * V, 64);
    if (kTwoSources) _tile_stored(2, sums + g.source_sums, 64);
    if (kTwoSources && kTwoTargets) _tile_stored(3, sums + g.source_sums + V * V, 64);
}

void amx_gradient(const std::byte* source, const std::byte* target, const AmxGradient& g, float* sums) {
    shape_tiles(64, kTileRows, kTileRows);
    for (int64_t tap = 0; tap < g.taps; ++tap, sums += g.tap_sums) {
        const std::byte* const from = source + g.offsets[tap];
        if (g.sources == 2) {
            g.targets == 2 ? gradient_of_tap<true, true>(from, target, g, sums)
                           : gradient_of_tap<true, false>(from, target, g, sums);
        } else {
            g.targets == 2 ? gradient_of_tap<false, true>(from, target, g, sums)
                           : gradient_of_tap<false, false>(from, target, g, sums);
        }
    }
    _tile_release();
}

// 16 rows of 16 numbers become 16 columns.
inline void turn(__m256i* rows) {
    __m256i a[16], b[16];
#pragma GCC unroll 16
    for (int i = 0; i < 8; ++i) {
        a[2 * i] = _mm256_unpacklo_epi16(rows[2 * i], rows[2 * i + 1]);
        a[2 * i + 1] = _mm256_unpackhi_epi16(rows[2 * i], rows[2 * i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 4; ++i) {
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
            b[4 * i + 2 * half] = _mm256_unpacklo_epi32(a[4 * i + half], a[4 * i + 2 + half]);
            b[4 * i + 2 * half + 1] = _mm256_unpackhi_epi32(a[4 * i + half], a[4 * i + 2 + half]);
        }
    }
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
            a[8 * half + 2 * i] = _mm256_unpacklo_epi64(b[8 * half + i], b[8 * half + 4 + i]);
            a[8 * half + 2 * i + 1] = _mm256_unpackhi_epi64(b[8 * half + i], b[8 * half + 4 + i]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
        rows[i] = _mm256_permute2x128_si256(a[i], a[8 + i], 0x20);
        rows[8 + i] = _mm256_permute2x128_si256(a[i], a[8 + i], 0x31);
    }
}

// A pixel of a row of one channel block, or zeros where there is none.
inline __m256i pixel_at(const std::byte* row, int64_t width, int64_t column) {
    if (row == nullptr || column < 0 || column >= width) return _mm256_setzero_si256();
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + column * 32));
}

void amx_turn_row(const std::byte* row, int64_t width, int64_t first, int64_t step, int64_t count, std::byte* to,
                  int64_t pitch) {
    for (int64_t i = 0; i < count; i += V) {
        __m256i rows[16];
        for (int64_t k = 0; k < V; ++k) rows[k] = pixel_at(row, i + k < count ? width : 0, first + (i + k) * step);
        turn(rows);
        for (int64_t k = 0; k < V; ++k) _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + k * pitch + i * 2), rows[k]);
    }
}

void amx_fold_row(const std::byte* row, int64_t width, int64_t first, int64_t step, int64_t count, std::byte* to) {
    auto* const numbers = reinterpret_cast<uint16_t*>(to);
    const auto* const from = reinterpret_cast<const uint16_t*>(row);
    int64_t begin = first < 0 ? (-first + step - 1) / step : 0, end = (width - first + step - 1) / step;
    begin = begin < count ? begin : count, end = row == nullptr || end < begin ? begin : end < count ? end : count;
    for (int64_t i = 0; i < begin; ++i) numbers[i] = 0;
    if (step == 1) {  // steps that a compiler knows become vectors
        for (int64_t i = begin; i < end; ++i) numbers[i] = from[first + i];
    } else if (step == 2) {
        for (int64_t i = begin; i < end; ++i) numbers[i] = from[first + 2 * i];
    } else {
        for (int64_t i = begin; i < end; ++i) numbers[i] = from[first + i * step];
    }
    for (int64_t i = end; i < count; ++i) numbers[i] = 0;
}

void amx_pair_row(const std::byte* row, int64_t width, int64_t step, int64_t count, std::byte* to) {
    alignas(64) uint16_t order[32];
    for (int i = 0; i < 16; ++i) order[2 * i] = static_cast<uint16_t>(i), order[2 * i + 1] = static_cast<uint16_t>(16 + i);
    const __m512i interleaved = _mm512_load_si512(order);
    for (int64_t i = 0; i < count; i += 2, to += 64) {
        const __m256i one = pixel_at(row, width * step, i * step), next = pixel_at(row, width * step, (i + 1) * step);
        const __m512i pair = _mm512_inserti64x4(_mm512_castsi256_si512(one), next, 1);
        _mm512_storeu_si512(to, _mm512_permutexvar_epi16(interleaved, pair));
    }
}

constexpr auto kAmxGradient = amx_gradient;
constexpr auto kAmxTurnRow = amx_turn_row;
constexpr auto kAmxFoldRow = amx_fold_row;
constexpr auto kAmxPairRow = amx_pair_row;
#else
constexpr decltype(yolo::program::Kernels::amx_gradient) kAmxGradient = nullptr;
constexpr decltype(yolo::program::Kernels::amx_turn_row) kAmxTurnRow = nullptr;
constexpr decltype(yolo::program::Kernels::amx_fold_row) kAmxFoldRow = nullptr;
constexpr decltype(yolo::program::Kernels::amx_pair_row) kAmxPairRow = nullptr;
#endif

}  // namespace
