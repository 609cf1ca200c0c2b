// 3x3 convolutions of bytes by F(4x4, 3x3), in whole numbers; see winograd.h for the algorithm, lanes.h for the linkage.
//
// Points of bytes are within 100 * 255 and fit 16 bits. Weights are those of 24 G, the last row halved so that they fit
// too (cpu/int8_weights.h). Sums are taken modulo 2^32: what comes out is 576 = 64 * 9 times the convolution, and 9 has an
// inverse, so 64 times of it is exact where the convolution itself has 26 bits with its sign.
#pragma once

#include "program/kernels/bytes.h"
#include "program/kernels/kernels.h"
#include "program/kernels/products.h"

namespace {

using yolo::program::WinogradPart;
using yolo::program::WordWinograd;

// Words of 16 bits, and pairs of them.
constexpr int64_t kWords = 2 * V;
typedef int16_t Words16 __attribute__((vector_size(kWords * 2)));
typedef int16_t LooseWords16 __attribute__((vector_size(kWords * 2), aligned(1), may_alias));
typedef uint8_t LooseBytes __attribute__((vector_size(kWords), aligned(1), may_alias));
typedef uint32_t LoosePair __attribute__((aligned(2), may_alias));

constexpr int64_t kWordTile = 4, kWordInputs = 6;
// Tiles side by side that share the columns of their inputs.
constexpr int64_t kWordStrip = 8, kWordStripWidth = kWordStrip * kWordTile + 2;

// In each lane the product of the first words plus that of the second ones.
inline Words pair_products(Words16 a, Words16 b) {
#if defined(__AVX512BW__)
    return (Words)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (Words)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
    const Ints x = (Ints)a, y = (Ints)b;
    return (Words)((x << 16 >> 16) * (y << 16 >> 16)) + (Words)((x >> 16) * (y >> 16));
#endif
}

// B'd.
inline void to_word_points(const Words16* d, Words16* t) {
    const Words16 a = d[4] - (d[2] << 2), b = d[3] - (d[1] << 2), c = d[4] - d[2], e = (d[3] - d[1]) << 1;
    t[0] = ((d[0] - d[2]) << 2) + c;
    t[1] = a + b;
    t[2] = a - b;
    t[3] = c + e;
    t[4] = c - e;
    t[5] = (d[5] - d[3]) - (e << 1);
}

// A'm, the last point twice.
inline void from_word_points(const Words* m, Words* y) {
    const Words s = m[1] + m[2], d = m[1] - m[2], p = m[3] + m[4], q = m[3] - m[4];
    y[0] = m[0] + s + p;
    y[1] = d + (q << 1);
    y[2] = s + (p << 2);
    y[3] = d + (q << 3) + (m[5] << 1);
}

// `tiles` tiles of kWords channels from rows[i], which begin at the first tile's pixel `begin`; those before it and from
// `end` on, and rows that are null, lie outside of the map.
inline void word_strip(const uint8_t* const* rows, int64_t pixel, Words16 zero, int64_t begin, int64_t end,
                       int64_t tiles, const WordWinograd& w, int16_t* to) {
    Words16 columns[kWordInputs][kWordStripWidth];
    const int64_t width = tiles * kWordTile + 2;
    for (int64_t x = 0; x < width; ++x) {
        Words16 d[kWordInputs] = {}, t[kWordInputs];
        if (x >= begin && x < end) {
#pragma GCC unroll 16
            for (int64_t i = 0; i < kWordInputs; ++i) {
                if (rows[i] == nullptr) continue;
                const auto* const bytes = reinterpret_cast<const LooseBytes*>(rows[i] + (x - begin) * pixel);
                d[i] = __builtin_convertvector(*bytes, Words16) - zero;
            }
        }
        to_word_points(d, t);
#pragma GCC unroll 16
        for (int64_t i = 0; i < kWordInputs; ++i) columns[i][x] = t[i];
    }
    for (int64_t tile = 0; tile < tiles; ++tile, to += w.source_channels) {
        int16_t* point = to;
#pragma GCC unroll 16
        for (int64_t i = 0; i < kWordInputs; ++i) {
            Words16 t[kWordInputs];
            to_word_points(&columns[i][tile * kWordTile], t);
#pragma GCC unroll 16
            for (int64_t j = 0; j < kWordInputs; ++j, point += w.source_step) {
                *reinterpret_cast<LooseWords16*>(point) = t[j];
            }
        }
    }
}

void word_points(const uint8_t* source, int32_t zero, const WordWinograd& w, const WinogradPart& part, int16_t* points) {
    const Words16 zeros = Words16{} + static_cast<int16_t>(zero);
    const int64_t row = w.width * w.source_channels;
    for (int64_t done = 0; done < part.tiles;) {
        const int64_t ty = (part.tile + done) / w.columns, tx = (part.tile + done) % w.columns;
        int64_t run = part.tiles - done < w.columns - tx ? part.tiles - done : w.columns - tx;
        run = run < kWordStrip ? run : kWordStrip;
        const int64_t left = tx * kWordTile - 1, begin = left < 0 ? 1 : 0;
        for (int64_t block = part.begin; block < part.end; ++block) {
            const int64_t first = (left + begin) * w.source_channels + block * kWords;
            const uint8_t* rows[kWordInputs];
            for (int64_t i = 0; i < kWordInputs; ++i) {
                const int64_t y = ty * kWordTile - 1 + i;
                rows[i] = y < 0 || y >= w.height ? nullptr : source + y * row + first;
            }
            word_strip(rows, w.source_channels, zeros, begin, w.width - left, run, w,
                       points + done * w.source_channels + block * kWords);
        }
        done += run;
    }
}

// R tiles by N vectors of outputs over all source channels. `weights`: [pair][N * V][2].
template <int R, int N>
inline void word_product(const int16_t* points, const WordWinograd& w, const int16_t* weights, int32_t* sums) {
    Words sum[R][N] = {};
    for (int64_t c = 0; c < w.source_channels; c += 2, weights += N * kWords) {
        Words16 v[N];
        for (int j = 0; j < N; ++j) v[j] = *reinterpret_cast<const LooseWords16*>(weights + j * kWords);
#pragma GCC unroll 16
        for (int i = 0; i < R; ++i) {
            const auto* const pair = reinterpret_cast<const LoosePair*>(points + i * w.source_channels + c);
            const Words16 x = (Words16)(Words{} + *pair);
#pragma GCC unroll 4
            for (int j = 0; j < N; ++j) sum[i][j] += pair_products(x, v[j]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 4
        for (int j = 0; j < N; ++j) save_words(sums + i * w.target_channels + j * V, sum[i][j]);
    }
}

template <int R, int N>
void word_product_of(int64_t rows, const int16_t* points, const WordWinograd& w, const int16_t* weights,
                     int32_t* sums) {
    if (rows == R) return word_product<R, N>(points, w, weights, sums);
    if constexpr (R > 1) word_product_of<R - 1, N>(rows, points, w, weights, sums);
}

// Panels `begin` to `end`, of which each point has one for every two target blocks.
void word_products(const int16_t* points, const int16_t* weights, const WordWinograd& w, const WinogradPart& part,
                   int32_t* sums) {
    const int64_t blocks = w.target_channels / V, panels = (blocks + 1) / 2;
    const int64_t groups = (part.tiles + kRows - 1) / kRows;
    for (int64_t item = part.begin; item < part.end; ++item) {
        const int64_t point = item / panels, block = item % panels * 2;
        const int16_t* const from = points + point * w.source_step;
        const int16_t* const panel = weights + (point * w.target_channels + block * V) * w.source_channels;
        int32_t* const to = sums + point * w.target_step + block * V;
        for (int64_t group = 0; group < groups; ++group) {
            const int64_t first = part.tiles * group / groups, rows = part.tiles * (group + 1) / groups - first;
            const auto call = block + 1 < blocks ? word_product_of<kRows, 2> : word_product_of<kRows, 1>;
            call(rows, from + first * w.source_channels, w, panel, to + first * w.target_channels);
        }
    }
}

// One tile's outputs, those that are inside of the map, from pixel `pixel` on.
template <Function C>
inline void finish_word_tile(const int32_t* sums, const WordWinograd& w, Floats scale, Floats shift,
                             const ByteFinish& f, int64_t block, int64_t rows, int64_t columns, int64_t pixel) {
    constexpr uint32_t kNinth = 954437177;  // times 9 it is 1, modulo 2^32
    Words half[kWordTile][kWordInputs];
#pragma GCC unroll 16
    for (int64_t j = 0; j < kWordInputs; ++j) {
        Words m[kWordInputs], y[kWordTile];
#pragma GCC unroll 16
        for (int64_t i = 0; i < kWordInputs; ++i) m[i] = load_words(sums + (i * kWordInputs + j) * w.target_step);
        from_word_points(m, y);
#pragma GCC unroll 16
        for (int64_t i = 0; i < kWordTile; ++i) half[i][j] = y[i];
    }
    for (int64_t i = 0; i < rows; ++i) {
        Words y[kWordTile];
        from_word_points(half[i], y);
#pragma GCC unroll 16
        for (int64_t j = 0; j < kWordTile; ++j) y[j] *= kNinth;
        int64_t at = (pixel + i * w.width) * f.stride + block * f.block_stride;
        int64_t residual_at = (pixel + i * w.width) * f.residual_stride + block * V;
        if (columns == kWordTile) {
            finish_bytes<C, true, kWordTile>(y, scale, shift, f, at, residual_at, V);
            continue;
        }
        for (int64_t j = 0; j < columns; ++j, at += f.stride, residual_at += f.residual_stride) {
            finish_bytes<C, true, 1>(y + j, scale, shift, f, at, residual_at, V);
        }
    }
}

template <Function C>
void word_finish_as(const int32_t* sums, const WordWinograd& w, const WinogradPart& part, const ByteFinish f) {
    for (int64_t tile = 0; tile < part.tiles; ++tile) {
        const int64_t y = (part.tile + tile) / w.columns * kWordTile, x = (part.tile + tile) % w.columns * kWordTile;
        const int64_t rows = w.height - y < kWordTile ? w.height - y : kWordTile;
        const int64_t columns = w.width - x < kWordTile ? w.width - x : kWordTile;
        for (int64_t block = part.begin; block < part.end; ++block) {
            const Floats scale = load(f.scale + block * V), shift = load(f.shift + block * V);
            finish_word_tile<C>(sums + tile * w.target_channels + block * V, w, scale, shift, f, block, rows, columns,
                                y * w.width + x);
        }
    }
}

void word_finish(const int32_t* sums, const WordWinograd& w, const WinogradPart& part, const ByteFinish& f) {
#define YOLO_CALL(C) word_finish_as<C>(sums, w, part, f)
    YOLO_FOR_FUNCTION(f.activation, YOLO_CALL)
#undef YOLO_CALL
}

}  // namespace
