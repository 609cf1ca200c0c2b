// 3x3 convolutions as matrix products, one for each point of a tile, by Winograd's algorithm as Lavin and Gray (2016) have
// it; see lanes.h for the linkage.
//
// In the form F(4x4, 3x3) a tile of 4 x 4 outputs comes of 6 x 6 inputs by 36 products for each pair of channels instead
// of 144: inputs become B'dB, weights GgG', and A'mA of the products' sums are the outputs. Points: [36][source channel
// block][tile][lanes], which the products broadcast from; sums: [36][target channel block][tile][lanes], which they store
// to; so nothing changes its order on the way. Other forms have other numbers of points (winograd_forms.h).
#pragma once

#include "program/kernels/activations.h"
#include "program/kernels/kernels.h"
#include "program/kernels/products.h"
#include "program/kernels/winograd_forms.h"

namespace {

using yolo::program::Activation;
using yolo::program::ConvForm;
using yolo::program::Winograd;
using yolo::program::WinogradPart;

// Pixels of the tiles side by side that share the columns of their inputs, of these tiles the number, and their inputs.
constexpr int64_t kStrip = 32;
template <class F>
constexpr int64_t kStripTiles = kStrip / (F::tile * F::stride);
template <class F>
constexpr int64_t kStripWidth = kStrip + F::inputs - F::tile * F::stride;
// In place of rows outside of the map.
alignas(64) const float kZeros[kStripWidth<F4> * V] = {};

// `tiles` tiles of one channel block from rows[i], which begin at the first tile's pixel `begin`; those before it and
// from `end` on lie outside of the map.
template <class F>
inline void strip_points(const float* const* rows, int64_t begin, int64_t end, int64_t tiles, int64_t step, float* to) {
    Floats columns[F::points][kStripWidth<F>];
    const int64_t width = (tiles - 1) * F::tile * F::stride + F::inputs;
    for (int64_t x = 0; x < width; ++x) {
        Floats d[F::inputs] = {}, t[F::points];
        if (x >= begin && x < end) {
#pragma GCC unroll 16
            for (int64_t i = 0; i < F::inputs; ++i) d[i] = load(rows[i] + (x - begin) * V);
        }
        F::forth(d, t);
#pragma GCC unroll 16
        for (int64_t i = 0; i < F::points; ++i) columns[i][x] = t[i];
    }
    for (int64_t tile = 0; tile < tiles; ++tile, to += V) {
        float* point = to;
#pragma GCC unroll 16
        for (int64_t i = 0; i < F::points; ++i) {
            Floats t[F::points];
            F::forth(&columns[i][tile * F::tile * F::stride], t);
#pragma GCC unroll 16
            for (int64_t j = 0; j < F::points; ++j, point += step) save(point, t[j]);
        }
    }
}

template <class F>
void points_as(const float* source, const Winograd& w, const WinogradPart& part, float* points) {
    constexpr int64_t reach = F::tile * F::stride;
    const int64_t row = w.width * V;
    for (int64_t done = 0; done < part.tiles;) {
        const int64_t ty = (part.tile + done) / w.columns, tx = (part.tile + done) % w.columns;
        int64_t run = part.tiles - done < w.columns - tx ? part.tiles - done : w.columns - tx;
        run = run < kStripTiles<F> ? run : kStripTiles<F>;
        const int64_t left = tx * reach - 1, begin = left < 0 ? 1 : 0;  // pixels: the strip's first, of it the map's first
        for (int64_t block = part.begin; block < part.end; ++block) {
            const float* const plane = source + block * w.height * row + (left + begin) * V;
            const float* rows[F::inputs];
            for (int64_t i = 0; i < F::inputs; ++i) {
                const int64_t y = ty * reach - 1 + i;
                rows[i] = y < 0 || y >= w.height ? kZeros : plane + y * row;
            }
            float* const to = points + (block * w.room + done) * V;
            strip_points<F>(rows, begin, w.width - left, run, w.source_step, to);
        }
        done += run;
    }
}

void winograd_points(const float* source, const Winograd& w, const WinogradPart& part, float* points) {
    switch (w.form) {
        case ConvForm::f4_stride2: return points_as<F4Stride2>(source, w, part, points);
        case ConvForm::f2_stride2: return points_as<F2Stride2>(source, w, part, points);
        default: return points_as<F4>(source, w, part, points);
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
template <class F, Function C, bool Adds>
inline void finish_tile(const float* sums, int64_t step, Floats bias, float value, int64_t rows, int64_t columns,
                        int64_t row, const float* residual, float* target) {
    Floats half[F::tile][F::points];
#pragma GCC unroll 16
    for (int64_t j = 0; j < F::points; ++j) {
        Floats m[F::points], y[F::tile];
#pragma GCC unroll 16
        for (int64_t i = 0; i < F::points; ++i) m[i] = load(sums + (i * F::points + j) * step);
        F::back(m, y);
#pragma GCC unroll 16
        for (int64_t i = 0; i < F::tile; ++i) half[i][j] = y[i];
    }
    const auto finish = [&](int64_t at, Floats sum) {
        const Floats made = apply<C>(sum + bias, value);
        save(target + at, Adds ? made + load(residual + at) : made);
    };
    for (int64_t i = 0; i < rows; ++i) {
        Floats y[F::tile];
        F::back(half[i], y);
        if (columns == F::tile) {
#pragma GCC unroll 16
            for (int64_t j = 0; j < F::tile; ++j) finish(i * row + j * V, y[j]);
        } else {
            for (int64_t j = 0; j < columns; ++j) finish(i * row + j * V, y[j]);
        }
    }
}

template <class F, Function C, bool Adds>
void finish_as(const float* sums, const float* bias, const Winograd& w, const WinogradPart& part, float value,
               const float* residual, float* target) {
    const int64_t height = (w.height + F::stride - 1) / F::stride, width = (w.width + F::stride - 1) / F::stride;
    const int64_t row = width * V;
    for (int64_t block = part.begin; block < part.end; ++block) {
        const Floats shift = bias == nullptr ? Floats{} : load(bias + block * V);
        for (int64_t tile = 0; tile < part.tiles; ++tile) {
            const int64_t y = (part.tile + tile) / w.columns * F::tile, x = (part.tile + tile) % w.columns * F::tile;
            const int64_t rows = height - y < F::tile ? height - y : F::tile;
            const int64_t columns = width - x < F::tile ? width - x : F::tile;
            const int64_t at = (block * height + y) * row + x * V;
            finish_tile<F, C, Adds>(sums + (block * w.room + tile) * V, w.target_step, shift, value, rows, columns,
                                    row, Adds ? residual + at : nullptr, target + at);
        }
    }
}

template <class F>
void finish_form(const float* sums, const float* bias, const Winograd& w, const WinogradPart& part,
                 const Activation& f, const float* residual, float* target) {
#define YOLO_CALL(C)                                                                                \
    (residual == nullptr ? finish_as<F, C, false>(sums, bias, w, part, f.value, residual, target) \
                         : finish_as<F, C, true>(sums, bias, w, part, f.value, residual, target))
    YOLO_FOR_FUNCTION(f, YOLO_CALL)
#undef YOLO_CALL
}

void winograd_finish(const float* sums, const float* bias, const Winograd& w, const WinogradPart& part,
                     const Activation& f, const float* residual, float* target) {
    switch (w.form) {
        case ConvForm::f4_stride2: return finish_form<F4Stride2>(sums, bias, w, part, f, residual, target);
        case ConvForm::f2_stride2: return finish_form<F2Stride2>(sums, bias, w, part, f, residual, target);
        default: return finish_form<F4>(sums, bias, w, part, f, residual, target);
    }
}

}  // namespace
