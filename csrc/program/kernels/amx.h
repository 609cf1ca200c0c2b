// Convolutions of bfloat16 by AMX: a tile of 16 outputs by 16 channels takes 512 products a cycle and more; see lanes.h
// for the linkage.
//
// A register's rows may lie any number of bytes apart, so 16 outputs that follow one another read 16 rows of a map as it
// is. What an output needs of a row of its kernel lies together: the kernel is a list of products, each of which begins so
// many bytes behind an output's first number. Outputs go on over the edge of a row, into those that are nobody's.
#pragma once

#include "program/kernels/activations.h"
#include "program/kernels/kernels.h"

namespace {

using yolo::program::Activation;
using yolo::program::AmxConv;
using yolo::program::AmxFinish;

#ifdef __AMX_BF16__

constexpr int64_t kTileRows = 16;
// Outputs that are computed at once, two tiles of them.
constexpr int64_t kAmxPlaces = 2 * kTileRows;

struct TileShapes {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
};

// Tiles 0 to 3: sums of the first and the second outputs with the first and the second channels; 4, 5: outputs; 6, 7:
// channels. `first`, `second`: how many outputs there are.
inline void shape_tiles(const AmxConv& c, int64_t first, int64_t second) {
    TileShapes shapes;
    for (int tile = 0; tile < 8; ++tile) {
        const bool sums = tile < 4, outputs = tile == 4 || tile == 5;
        const int64_t rows = outputs ? (tile == 4 ? first : second) : sums ? (tile < 2 ? first : second) : c.depth / 4;
        shapes.row_bytes[tile] = static_cast<uint16_t>(outputs ? c.depth : 64);
        shapes.rows[tile] = static_cast<uint8_t>(rows > 0 ? rows : 1);
    }
    _tile_loadconfig(&shapes);
}

// The sums of `kAmxPlaces` outputs, or of half as many, as [block][kAmxPlaces][V].
template <bool kTwoTiles, bool kTwoBlocks>
inline void amx_sums(const std::byte* source, const AmxConv& c, const std::byte* weights, const float* bias, float* sums) {
    _tile_loadd(0, bias, 0);
    if (kTwoBlocks) _tile_loadd(1, bias + V, 0);
    if (kTwoTiles) _tile_loadd(2, bias, 0);
    if (kTwoTiles && kTwoBlocks) _tile_loadd(3, bias + V, 0);
    const int64_t tile = c.depth * V;  // bytes: depth / 4 rows of V pairs
    for (int64_t i = 0; i < c.products; ++i) {
        const std::byte* const from = source + c.offsets[i];
        _tile_loadd(6, weights, 64);
        _tile_loadd(4, from, c.stride);
        _tile_dpbf16ps(0, 4, 6);
        if (kTwoBlocks) {
            _tile_loadd(7, weights + tile, 64);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (kTwoTiles) {
            _tile_loadd(5, from + kTileRows * c.stride, c.stride);
            _tile_dpbf16ps(2, 5, 6);
            if (kTwoBlocks) _tile_dpbf16ps(3, 5, 7);
        }
        weights += kTwoBlocks ? 2 * tile : tile;
    }
    _tile_stored(0, sums, 64);
    if (kTwoBlocks) _tile_stored(1, sums + kAmxPlaces * V, 64);
    if (kTwoTiles) _tile_stored(2, sums + kTileRows * V, 64);
    if (kTwoTiles && kTwoBlocks) _tile_stored(3, sums + (kAmxPlaces + kTileRows) * V, 64);
}

// 1 / (1 + e^-x) to 13 bits, of which bfloat16 has 8: a series of degree 3 for 2^r (minimax, 7.5e-5) and no step of Newton's.
inline Floats coarse_sigmoid(Floats x) {
    const Floats t = x * -1.44269504f;
    const Floats whole = (Floats)_mm512_roundscale_ps((__m512)t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const Floats r = t - whole;
    const Floats p = ((r * 0.05517132f + 0.24261054f) * r + 0.69326099f) * r + 0.99992811f;
    return (Floats)_mm512_rcp14_ps((__m512)((Floats)_mm512_scalef_ps((__m512)p, (__m512)whole) + 1.0f));
}

// As exact as the numbers that it is written as.
template <class T, Function C>
inline Floats apply_for(Floats u, float value) {
    if constexpr (T::size == Bfloat16::size && C == Function::silu) return u * coarse_sigmoid(u);
    return apply<C>(u, value);
}

// f(sum) + residual of a run of outputs; lanes behind the last channel stay zero.
template <class T, Function C>
inline void finish_run(const float* sums, float value, __mmask16 lanes, const std::byte* residual, std::byte* target,
                       int64_t count) {
    for (int64_t p = 0; p < count; ++p) {
        const Floats f = apply_for<T, C>(load(sums + p * V), value);
        const Floats more = residual == nullptr ? Floats{} : load<Bfloat16>(residual, p);
        save<T>(target, p, (Floats)_mm512_maskz_mov_ps(lanes, (__m512)(f + more)));
    }
}

// Of the outputs from `place` on those that are somebody's.
template <class T, Function C>
inline void finish_places(const float* sums, const AmxConv& c, const AmxFinish& f, int64_t place, int64_t count) {
    for (int64_t i = 0; i < count;) {
        const int64_t row = (place + i) / c.row, column = (place + i) % c.row;
        const int64_t left = count - i, run = c.row - column < left ? c.row - column : left;
        const int64_t inside = c.width - column < run ? c.width - column : run;
        const int64_t at = (row * c.width + column) * V;
        for (int64_t block = 0; block < f.blocks && inside > 0; ++block) {
            const int64_t channels = f.channels - block * V;
            const auto lanes = static_cast<__mmask16>(channels >= V ? 0xffff : (1 << channels) - 1);
            const std::byte* const residual =
                f.residual == nullptr ? nullptr : f.residual + block * f.residual_step + at * Bfloat16::size;
            std::byte* const target = f.target + block * f.target_step + at * T::size;
            finish_run<T, C>(sums + (block * kAmxPlaces + i) * V, f.activation.value, lanes, residual, target, inside);
        }
        i += run;
    }
}

template <class T, Function C>
void amx_conv_as(const std::byte* source, const AmxConv& c, int64_t places, const std::byte* weights, const AmxFinish& f) {
    alignas(64) float bias[2 * V] = {};
    alignas(64) float sums[2 * kAmxPlaces * V];
    for (int64_t k = 0; f.bias != nullptr && k < f.channels && k < 2 * V; ++k) bias[k] = f.bias[k];
    asm volatile("" ::: "memory");  // tiles read memory, which GCC does not know
    const bool two = f.blocks == 2;
    shape_tiles(c, kTileRows, kTileRows);
    int64_t place = 0;
    for (; place + kAmxPlaces <= places; place += kAmxPlaces) {
        const std::byte* const from = source + place * c.stride;
        two ? amx_sums<true, true>(from, c, weights, bias, sums) : amx_sums<true, false>(from, c, weights, bias, sums);
        finish_places<T, C>(sums, c, f, place, kAmxPlaces);
    }
    if (const int64_t left = places - place; left > 0) {
        // Rows that are not there are not read: they may be behind the map.
        const std::byte* const from = source + place * c.stride;
        const int64_t first = left < kTileRows ? left : kTileRows;
        shape_tiles(c, first, left - first);
        if (left > kTileRows) {
            two ? amx_sums<true, true>(from, c, weights, bias, sums) : amx_sums<true, false>(from, c, weights, bias, sums);
        } else {
            two ? amx_sums<false, true>(from, c, weights, bias, sums)
                : amx_sums<false, false>(from, c, weights, bias, sums);
        }
        finish_places<T, C>(sums, c, f, place, left);
    }
    _tile_release();
}

void amx_conv(const std::byte* source, const AmxConv& c, int64_t places, const std::byte* weights, const AmxFinish& f) {
#define YOLO_CALL(C)                                                                      \
    f.wide ? amx_conv_as<Float32, C>(source, c, places, weights, f)                      \
           : amx_conv_as<Bfloat16, C>(source, c, places, weights, f)
    YOLO_FOR_FUNCTION(f.activation, YOLO_CALL)
#undef YOLO_CALL
}

// Pixels of two channel blocks side by side; of one, with zeros.
void amx_pairs(const std::byte* first, const std::byte* second, int64_t pixels, std::byte* to) {
    const __m256i none = _mm256_setzero_si256();
    for (int64_t p = 0; p < pixels; ++p) {
        const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(first + p * 32));
        const __m256i high =
            second == nullptr ? none : _mm256_loadu_si256(reinterpret_cast<const __m256i*>(second + p * 32));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + p * 64), low);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + p * 64 + 32), high);
    }
}

constexpr auto kAmxConv = amx_conv;
constexpr auto kAmxPairs = amx_pairs;
#else
constexpr decltype(yolo::program::Kernels::amx_conv) kAmxConv = nullptr;
constexpr decltype(yolo::program::Kernels::amx_pairs) kAmxPairs = nullptr;
#endif

}  // namespace
