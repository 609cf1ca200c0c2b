// Convolutions of bfloat16 and of bytes by AMX, which adds 8,192 or 16,384 products to 16 outputs by 16 channels in 16
// cycles; see lanes.h for the linkage.
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
using yolo::program::ByteFinish;

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
// channels. `first`, `second`: how many outputs there are; `depth`: bytes of a product.
inline void shape_tiles(int64_t depth, int64_t first, int64_t second) {
    TileShapes shapes;
    for (int tile = 0; tile < 8; ++tile) {
        const bool sums = tile < 4, outputs = tile == 4 || tile == 5;
        const int64_t rows = outputs ? (tile == 4 ? first : second) : sums ? (tile < 2 ? first : second) : depth / 4;
        shapes.row_bytes[tile] = static_cast<uint16_t>(outputs ? depth : 64);
        shapes.rows[tile] = static_cast<uint8_t>(rows > 0 ? rows : 1);
    }
    asm volatile("" ::"r"(&shapes) : "memory");  // GCC's intrinsic says that it reads the first 8 bytes alone
    _tile_loadconfig(&shapes);
}

// Products of bfloat16, and of bytes with signed ones. Registers are written as they are: they are names in the assembler.
struct HalfProducts {
    typedef float Sum;
    static void first_outputs_first_channels() { _tile_dpbf16ps(0, 4, 6); }
    static void first_outputs_second_channels() { _tile_dpbf16ps(1, 4, 7); }
    static void second_outputs_first_channels() { _tile_dpbf16ps(2, 5, 6); }
    static void second_outputs_second_channels() { _tile_dpbf16ps(3, 5, 7); }
};
struct ByteProducts {
    typedef int32_t Sum;
    static void first_outputs_first_channels() { _tile_dpbusd(0, 4, 6); }
    static void first_outputs_second_channels() { _tile_dpbusd(1, 4, 7); }
    static void second_outputs_first_channels() { _tile_dpbusd(2, 5, 6); }
    static void second_outputs_second_channels() { _tile_dpbusd(3, 5, 7); }
};

// The sums of `kAmxPlaces` outputs, or of half as many, as [block][kAmxPlaces][V]; `begin`: what each begins with.
template <class P, bool kTwoTiles, bool kTwoBlocks>
inline void amx_sums(const std::byte* source, const AmxConv& c, const std::byte* weights, const typename P::Sum* begin,
                     typename P::Sum* sums) {
    _tile_loadd(0, begin, 0);
    if (kTwoBlocks) _tile_loadd(1, begin + V, 0);
    if (kTwoTiles) _tile_loadd(2, begin, 0);
    if (kTwoTiles && kTwoBlocks) _tile_loadd(3, begin + V, 0);
    const int64_t tile = c.depth * V;  // bytes: depth / 4 rows of V words
    for (int64_t i = 0; i < c.products; ++i) {
        const std::byte* const from = source + c.offsets[i];
        _tile_loadd(6, weights, 64);
        _tile_loadd(4, from, c.stride);
        P::first_outputs_first_channels();
        if (kTwoBlocks) {
            _tile_loadd(7, weights + tile, 64);
            P::first_outputs_second_channels();
        }
        if (kTwoTiles) {
            _tile_loadd(5, from + kTileRows * c.stride, c.stride);
            P::second_outputs_first_channels();
            if (kTwoBlocks) P::second_outputs_second_channels();
        }
        weights += kTwoBlocks ? 2 * tile : tile;
    }
    _tile_stored(0, sums, 64);
    if (kTwoBlocks) _tile_stored(1, sums + kAmxPlaces * V, 64);
    if (kTwoTiles) _tile_stored(2, sums + kTileRows * V, 64);
    if (kTwoTiles && kTwoBlocks) _tile_stored(3, sums + (kAmxPlaces + kTileRows) * V, 64);
}

// Goes through all outputs; finish(sums, first place, count) takes those of some.
template <class P, class Finish>
inline void amx_outputs(const std::byte* source, const AmxConv& c, int64_t places, const std::byte* weights,
                        const typename P::Sum* begin, bool two, const Finish& finish) {
    alignas(64) typename P::Sum sums[2 * kAmxPlaces * V];
    asm volatile("" ::"r"(begin) : "memory");  // tiles read memory, which GCC's intrinsics do not say
    shape_tiles(c.depth, kTileRows, kTileRows);
    int64_t place = 0;
    for (; place + kAmxPlaces <= places; place += kAmxPlaces) {
        const std::byte* const from = source + place * c.stride;
        two ? amx_sums<P, true, true>(from, c, weights, begin, sums) : amx_sums<P, true, false>(from, c, weights, begin, sums);
        finish(sums, place, kAmxPlaces);
    }
    if (const int64_t left = places - place; left > 0) {
        // Rows that are not there are not read: they may be behind the map.
        const std::byte* const from = source + place * c.stride;
        const int64_t first = left < kTileRows ? left : kTileRows;
        shape_tiles(c.depth, first, left - first);
        if (left > kTileRows) {
            two ? amx_sums<P, true, true>(from, c, weights, begin, sums)
                : amx_sums<P, true, false>(from, c, weights, begin, sums);
        } else {
            two ? amx_sums<P, false, true>(from, c, weights, begin, sums)
                : amx_sums<P, false, false>(from, c, weights, begin, sums);
        }
        finish(sums, place, left);
    }
    _tile_release();
}

// Of `count` outputs from a place on those that are somebody's, row by row: run(first of them, row, column, how many).
template <class Run>
inline void each_run(const AmxConv& c, int64_t place, int64_t count, const Run& run) {
    for (int64_t i = 0; i < count;) {
        const int64_t row = (place + i) / c.row, column = (place + i) % c.row;
        const int64_t left = count - i, length = c.row - column < left ? c.row - column : left;
        const int64_t inside = c.width - column < length ? c.width - column : length;
        if (inside > 0) run(i, row, column, inside);
        i += length;
    }
}

// Adds 16 floats to as many doubles.
inline void add_floats(Floats x, double* to) {
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256((__m512)x));
    const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)x, 1));
    _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), low));
    _mm512_storeu_pd(to + 8, _mm512_add_pd(_mm512_loadu_pd(to + 8), high));
}

// Sums of a run of outputs as they were rounded, at most kAmxPlaces, and of their squares.
inline void add_moments(const std::byte* target, int64_t step, int64_t count, double* to, int64_t squares) {
    Floats sum{}, product{};
    for (int64_t p = 0; p < count; ++p) {
        const Floats x = load<Bfloat16>(target, p * step);
        sum += x;
        product += x * x;
    }
    add_floats(sum, to);
    add_floats(product, to + squares);
}

// f(sum) + residual of a run of outputs, `step` pixels apart; lanes behind the last channel stay zero.
template <class T, Function C>
inline void finish_run(const float* sums, float value, __mmask16 lanes, const std::byte* residual, std::byte* target,
                       int64_t step, int64_t count) {
    for (int64_t p = 0; p < count; ++p) {
        const Floats f = apply<C, T>(load(sums + p * V), value);
        const Floats more = residual == nullptr ? Floats{} : load<Bfloat16>(residual, p * step);
        save<T>(target, p * step, (Floats)_mm512_maskz_mov_ps(lanes, (__m512)(f + more)));
    }
}

// Which channels of a vector are there, if so many are left.
inline __mmask16 lanes_of(int64_t channels) {
    return static_cast<__mmask16>(channels >= V ? 0xffff : (1 << channels) - 1);
}

template <class T, Function C>
void amx_conv_as(const std::byte* source, const AmxConv& c, int64_t places, const std::byte* weights, const AmxFinish& f) {
    alignas(64) float bias[2 * V] = {};
    for (int64_t k = 0; f.bias != nullptr && k < f.channels && k < 2 * V; ++k) bias[k] = f.bias[k];
    const auto finish = [&](const float* sums, int64_t place, int64_t count) {
        each_run(c, place, count, [&](int64_t first, int64_t row, int64_t column, int64_t run) {
            const int64_t at = (row * f.row_step + column * f.step) * V;
            for (int64_t block = 0; block < f.blocks; ++block) {
                const std::byte* const residual =
                    f.residual == nullptr ? nullptr : f.residual + block * f.residual_block_step + at * Bfloat16::size;
                std::byte* const target = f.target + block * f.target_block_step + at * T::size;
                const float* const own = sums + (block * kAmxPlaces + first) * V;
                const __mmask16 lanes = lanes_of(f.channels - block * V);
                finish_run<T, C>(own, f.activation.value, lanes, residual, target, f.step, run);
                if (T::size == Bfloat16::size && C == Function::identity && f.sums != nullptr) {
                    add_moments(target, f.step, run, f.sums + block * V, f.squares);
                }
            }
        });
    };
    amx_outputs<HalfProducts>(source, c, places, weights, bias, f.blocks == 2, finish);
}

void amx_conv(const std::byte* source, const AmxConv& c, int64_t places, const std::byte* weights, const AmxFinish& f) {
#define YOLO_CALL(C)                                                                      \
    f.wide ? amx_conv_as<Float32, C>(source, c, places, weights, f)                      \
           : amx_conv_as<Bfloat16, C>(source, c, places, weights, f)
    YOLO_FOR_FUNCTION(f.activation, YOLO_CALL)
#undef YOLO_CALL
}

// f(sum * scale + shift) + residual of a vector of channels of a run of outputs, as floats or bytes.
template <class T, Function C>
inline void finish_byte_run(const int32_t* sums, const ByteFinish& f, int64_t block, int64_t at, __mmask16 lanes,
                            int64_t count) {
    const Floats scale = load(f.scale + block * V), shift = load(f.shift + block * V);
    const int64_t to = at * f.stride + block * f.block_stride;
    const uint8_t* const residual = f.residual == nullptr ? nullptr : f.residual + at * f.residual_stride + block * V;
    for (int64_t p = 0; p < count; ++p) {
        const Floats sum = (Floats)_mm512_cvtepi32_ps(_mm512_load_si512(sums + p * V));
        Floats made = apply<C, T>(sum * scale + shift, f.activation.value);
        if (residual != nullptr) {
            const __m512i bytes = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes, residual + p * f.residual_stride));
            made += ((Floats)_mm512_cvtepi32_ps(bytes) - f.residual_zero) * f.residual_step;
        }
        if constexpr (T::size == Byte::size) {
            // To the nearest, ties to even, within 0..255; NaN becomes 0.
            const __m512 steps = _mm512_max_ps((__m512)(made * f.steps + f.zero), _mm512_setzero_ps());
            const __m128i bytes = _mm512_cvtusepi32_epi8(_mm512_cvtps_epu32(steps));
            _mm_mask_storeu_epi8(f.bytes + to + p * f.stride, lanes, bytes);
        } else {
            save(f.floats + to + p * f.stride, (Floats)_mm512_maskz_mov_ps(lanes, (__m512)made));
        }
    }
}

template <class T, Function C>
void amx_byte_conv_as(const std::byte* source, const AmxConv& c, int64_t places, const std::byte* weights,
                      const int32_t* offsets, const ByteFinish& f, int64_t blocks, int64_t channels) {
    const auto finish = [&](const int32_t* sums, int64_t place, int64_t count) {
        each_run(c, place, count, [&](int64_t first, int64_t row, int64_t column, int64_t run) {
            for (int64_t block = 0; block < blocks; ++block) {
                const int32_t* const own = sums + (block * kAmxPlaces + first) * V;
                finish_byte_run<T, C>(own, f, block, row * c.width + column, lanes_of(channels - block * V), run);
            }
        });
    };
    amx_outputs<ByteProducts>(source, c, places, weights, offsets, blocks == 2, finish);
}

void amx_byte_conv(const std::byte* source, const AmxConv& c, int64_t places, const std::byte* weights,
                   const int32_t* offsets, const ByteFinish& f, int64_t blocks, int64_t channels) {
#define YOLO_CALL(C)                                                                                              \
    f.bytes == nullptr ? amx_byte_conv_as<Float32, C>(source, c, places, weights, offsets, f, blocks, channels) \
                       : amx_byte_conv_as<Byte, C>(source, c, places, weights, offsets, f, blocks, channels)
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
constexpr auto kAmxByteConv = amx_byte_conv;
constexpr auto kAmxPairs = amx_pairs;
#else
constexpr decltype(yolo::program::Kernels::amx_conv) kAmxConv = nullptr;
constexpr decltype(yolo::program::Kernels::amx_byte_conv) kAmxByteConv = nullptr;
constexpr decltype(yolo::program::Kernels::amx_pairs) kAmxPairs = nullptr;
#endif

}  // namespace
