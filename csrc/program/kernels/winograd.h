// 3x3 convolutions of stride 1 as 36 matrix products, F(4x4, 3x3) of Lavin and Gray (2016); see lanes.h for the linkage.
//
// A tile of 4 x 4 outputs comes of 6 x 6 inputs by 36 products for each pair of channels instead of 144: inputs become
// B'dB, weights GgG', and A'mA of the products' sums are the outputs. Points: [36][source channel block][tile][lanes],
// which the products broadcast from; sums: [36][target channel block][tile][lanes], which they store to; so nothing
// changes its order on the way.
#pragma once

#include "program/kernels/activations.h"
#include "program/kernels/kernels.h"
#include "program/kernels/products.h"
#include "program/kernels/winograd_transforms.h"

namespace {

using yolo::program::Activation;
using yolo::program::Winograd;
using yolo::program::WinogradPart;

// Tiles side by side that share the columns of their inputs.
constexpr int64_t kStrip = 8, kStripWidth = kStrip * kTile + 2;
// In place of rows outside of the map.
alignas(64) const float kZeros[kStripWidth * V] = {};

// `tiles` tiles of one channel block from rows[i], which begin at the first tile's pixel `begin`; those before it and
// from `end` on lie outside of the map.
inline void strip_points(const float* const* rows, int64_t begin, int64_t end, int64_t tiles, int64_t step, float* to) {
    Floats columns[kInputs][kStripWidth];
    const int64_t width = tiles * kTile + 2;
    for (int64_t x = 0; x < width; ++x) {
        Floats d[kInputs] = {}, t[kInputs];
        if (x >= begin && x < end) {
#pragma GCC unroll 16
            for (int64_t i = 0; i < kInputs; ++i) d[i] = load(rows[i] + (x - begin) * V);
        }
        to_points(d, t);
#pragma GCC unroll 16
        for (int64_t i = 0; i < kInputs; ++i) columns[i][x] = t[i];
    }
    for (int64_t tile = 0; tile < tiles; ++tile, to += V) {
        float* point = to;
#pragma GCC unroll 16
        for (int64_t i = 0; i < kInputs; ++i) {
            Floats t[kInputs];
            to_points(&columns[i][tile * kTile], t);
#pragma GCC unroll 16
            for (int64_t j = 0; j < kInputs; ++j, point += step) save(point, t[j]);
        }
    }
}

void winograd_points(const float* source, const Winograd& w, const WinogradPart& part, float* points) {
    const int64_t row = w.width * V;
    for (int64_t done = 0; done < part.tiles;) {
        const int64_t ty = (part.tile + done) / w.columns, tx = (part.tile + done) % w.columns;
        int64_t run = part.tiles - done < w.columns - tx ? part.tiles - done : w.columns - tx;
        run = run < kStrip ? run : kStrip;
        const int64_t left = tx * kTile - 1, begin = left < 0 ? 1 : 0;  // pixels: the strip's first, of it the map's first
        for (int64_t block = part.begin; block < part.end; ++block) {
            const float* const plane = source + block * w.height * row + (left + begin) * V;
            const float* rows[kInputs];
            for (int64_t i = 0; i < kInputs; ++i) {
                const int64_t y = ty * kTile - 1 + i;
                rows[i] = y < 0 || y >= w.height ? kZeros : plane + y * row;
            }
            float* const to = points + (block * w.room + done) * V;
            strip_points(rows, begin, w.width - left, run, w.source_step, to);
        }
        done += run;
    }
}

// Panels `begin` to `end`, of which each point has one for every two target blocks.
void winograd_products(const float* points, const float* weights, const Winograd& w, const WinogradPart& part,
                       float* sums) {
    const int64_t blocks = w.target_channels / V, panels = (blocks + 1) / 2, step = w.room * V;
    const int64_t groups = (part.tiles + kRows - 1) / kRows;
    for (int64_t item = part.begin; item < part.end; ++item) {
        const int64_t point = item / panels, block = item % panels * 2;
        const float* const from = points + point * w.source_step;
        const float* const panel = weights + (point * w.target_channels + block * V) * w.source_channels;
        float* const to = sums + point * w.target_step + block * step;
        // Evenly: 25 tiles are 5 x 5, not 4 x 6 + 1.
        for (int64_t group = 0; group < groups; ++group) {
            const int64_t first = part.tiles * group / groups, rows = part.tiles * (group + 1) / groups - first;
            const auto call = block + 1 < blocks ? product_of<kRows, 2> : product_of<kRows, 1>;
            call(rows, from + first * V, step, panel, w.source_channels, to + first * V);
        }
    }
}

// One tile's outputs, those that are inside of the map.
template <Function C, bool Adds>
inline void finish_tile(const float* sums, int64_t step, Floats bias, float value, int64_t rows, int64_t columns,
                        int64_t row, const float* residual, float* target) {
    Floats half[kTile][kInputs];
#pragma GCC unroll 16
    for (int64_t j = 0; j < kInputs; ++j) {
        Floats m[kInputs], y[kTile];
#pragma GCC unroll 16
        for (int64_t i = 0; i < kInputs; ++i) m[i] = load(sums + (i * kInputs + j) * step);
        from_points(m, y);
#pragma GCC unroll 16
        for (int64_t i = 0; i < kTile; ++i) half[i][j] = y[i];
    }
    const auto finish = [&](int64_t at, Floats sum) {
        const Floats made = apply<C>(sum + bias, value);
        save(target + at, Adds ? made + load(residual + at) : made);
    };
    for (int64_t i = 0; i < rows; ++i) {
        Floats y[kTile];
        from_points(half[i], y);
        if (columns == kTile) {
#pragma GCC unroll 16
            for (int64_t j = 0; j < kTile; ++j) finish(i * row + j * V, y[j]);
        } else {
            for (int64_t j = 0; j < columns; ++j) finish(i * row + j * V, y[j]);
        }
    }
}

template <Function C, bool Adds>
void finish_as(const float* sums, const float* bias, const Winograd& w, const WinogradPart& part, float value,
               const float* residual, float* target) {
    const int64_t row = w.width * V;
    for (int64_t block = part.begin; block < part.end; ++block) {
        const Floats shift = bias == nullptr ? Floats{} : load(bias + block * V);
        for (int64_t tile = 0; tile < part.tiles; ++tile) {
            const int64_t y = (part.tile + tile) / w.columns * kTile, x = (part.tile + tile) % w.columns * kTile;
            const int64_t rows = w.height - y < kTile ? w.height - y : kTile;
            const int64_t columns = w.width - x < kTile ? w.width - x : kTile;
            const int64_t at = (block * w.height + y) * row + x * V;
            finish_tile<C, Adds>(sums + (block * w.room + tile) * V, w.target_step, shift, value, rows, columns, row,
                                 Adds ? residual + at : nullptr, target + at);
        }
    }
}

void winograd_finish(const float* sums, const float* bias, const Winograd& w, const WinogradPart& part,
                     const Activation& f, const float* residual, float* target) {
#define YOLO_CALL(C)                                                                              \
    (residual == nullptr ? finish_as<C, false>(sums, bias, w, part, f.value, residual, target) \
                         : finish_as<C, true>(sums, bias, w, part, f.value, residual, target))
    YOLO_FOR_FUNCTION(f, YOLO_CALL)
#undef YOLO_CALL
}

}  // namespace
