// The gradient of a convolution's input where its stride is 2: each output's is spread over two pixels along each axis; see
// lanes.h for the linkage.
#pragma once

#include "program/kernels/winograd.h"
#include "program/kernels/winograd_gradient_forms.h"

namespace {

// `source`: the outputs' gradient, half as high and wide as the map of `w`.
template <class F>
void spread_points_as(const float* source, const Winograd& w, const WinogradPart& part, float* points) {
    const int64_t height = (w.height + 1) / 2, width = (w.width + 1) / 2, row = width * V;
    for (int64_t done = 0; done < part.tiles;) {
        const int64_t ty = (part.tile + done) / w.columns, tx = (part.tile + done) % w.columns;
        int64_t run = part.tiles - done < w.columns - tx ? part.tiles - done : w.columns - tx;
        run = run < kStripTiles<F> ? run : kStripTiles<F>;
        const int64_t left = tx * F::tile;
        for (int64_t block = part.begin; block < part.end; ++block) {
            const float* const plane = source + block * height * row + left * V;
            const float* rows[F::inputs];
            for (int64_t i = 0; i < F::inputs; ++i) {
                const int64_t y = ty * F::tile + i;
                rows[i] = y >= height ? kZeros : plane + y * row;
            }
            strip_points<F>(rows, 0, width - left, run, w.source_step, points + (block * w.room + done) * V);
        }
        done += run;
    }
}

void winograd_spread_points(const float* source, const Winograd& w, const WinogradPart& part, float* points) {
    w.form == WinogradForm::f4_stride2 ? spread_points_as<Spread<F4Stride2>>(source, w, part, points)
                                   : spread_points_as<Spread<F2Stride2>>(source, w, part, points);
}

// One tile's numbers, those that are inside of the map.
template <class F>
inline void spread_tile(const float* sums, int64_t step, int64_t rows, int64_t columns, int64_t row, float* target) {
    Floats half[F::made][F::points];
#pragma GCC unroll 16
    for (int64_t j = 0; j < F::points; ++j) {
        Floats m[F::points], y[F::made];
#pragma GCC unroll 16
        for (int64_t i = 0; i < F::points; ++i) m[i] = load(sums + (i * F::points + j) * step);
        F::back(m, y);
#pragma GCC unroll 16
        for (int64_t i = 0; i < F::made; ++i) half[i][j] = y[i];
    }
    for (int64_t i = 0; i < rows; ++i) {
        Floats y[F::made];
        F::back(half[i], y);
        for (int64_t j = 0; j < columns; ++j) save(target + i * row + j * V, y[j]);
    }
}

template <class F>
void spread_finish_as(const float* sums, const Winograd& w, const WinogradPart& part, float* target) {
    const int64_t row = w.width * V;
    for (int64_t block = part.begin; block < part.end; ++block) {
        for (int64_t tile = 0; tile < part.tiles; ++tile) {
            const int64_t y = (part.tile + tile) / w.columns * F::made, x = (part.tile + tile) % w.columns * F::made;
            const int64_t rows = w.height - y < F::made ? w.height - y : F::made;
            const int64_t columns = w.width - x < F::made ? w.width - x : F::made;
            spread_tile<F>(sums + (block * w.room + tile) * V, w.target_step, rows, columns, row,
                           target + (block * w.height + y) * row + x * V);
        }
    }
}

void winograd_spread_finish(const float* sums, const Winograd& w, const WinogradPart& part, float* target) {
    w.form == WinogradForm::f4_stride2 ? spread_finish_as<Spread<F4Stride2>>(sums, w, part, target)
                                   : spread_finish_as<Spread<F2Stride2>>(sums, w, part, target);
}

}  // namespace
