// What training adds to winograd.h: weights from where they lie, and gradients; see lanes.h for the linkage.
//
// The weights' gradient is the same sum over tiles the other way round: with points V = B'dB of the inputs and Y = AyA' of
// the outputs' gradients, of each point a matrix product over tiles, dU = V'Y, and G'dUG is the gradient.
// V: [points][source channel block][tile][lanes], Y the same of target channels, dU: [points][source][target].
#pragma once

#include "program/kernels/kernels.h"
#include "program/kernels/winograd.h"
#include "program/kernels/winograd_gradient_forms.h"

namespace {

using yolo::program::sums_step;

// GgG' of V kernels; points lie `step` numbers apart.
template <class F>
inline void kernel_points(const Floats* taps, int64_t step, float* to) {
    Floats columns[F::taps][F::points];
#pragma GCC unroll 16
    for (int64_t x = 0; x < F::taps; ++x) {
        Floats column[F::taps];
#pragma GCC unroll 16
        for (int64_t y = 0; y < F::taps; ++y) column[y] = taps[y * F::taps + x];
        F::weight_points(column, columns[x]);
    }
#pragma GCC unroll 16
    for (int64_t i = 0; i < F::points; ++i) {
        Floats row[F::taps], u[F::points];
#pragma GCC unroll 16
        for (int64_t x = 0; x < F::taps; ++x) row[x] = columns[x][i];
        F::weight_points(row, u);
#pragma GCC unroll 16
        for (int64_t j = 0; j < F::points; ++j, to += step) save(to, u[j]);
    }
}

// Sources at once: of each point so many numbers are written together that no two points' lines drive each other out.
constexpr int64_t kSources = 8;

template <class F>
void weights_as(const float* values, const int64_t* rows, const Winograd& w, bool turned, int64_t begin, int64_t end,
                float* to) {
    constexpr int64_t numbers = F::taps * F::taps, room = kSources * 2 * V;
    alignas(64) float made[F::points * F::points * room];
    for (int64_t panel = begin; panel < end; ++panel) {
        const int64_t first = panel * 2 * V, left = w.target_channels - first, width = left < 2 * V ? left : 2 * V;
        for (int64_t source = 0; source < w.source_channels; source += kSources) {
            for (int64_t k = 0; k < kSources * width; k += V) {
                const int64_t from = source + k / width, target = first + k % width;
                Floats taps[numbers];
                for (int64_t i = 0; i < V; ++i) {
                    const float* const kernel =
                        turned ? values + rows[from] + (target + i) * numbers : values + rows[target + i] + from * numbers;
#pragma GCC unroll 16
                    for (int64_t tap = 0; tap < numbers; ++tap) taps[tap][i] = kernel[turned ? numbers - 1 - tap : tap];
                }
                kernel_points<F>(taps, room, made + k);
            }
            float* const place = to + first * w.source_channels + source * width;
            for (int64_t point = 0; point < F::points * F::points; ++point) {
                float* const into = place + point * w.target_channels * w.source_channels;
                for (int64_t k = 0; k < kSources * width; k += V) save(into + k, load(made + point * room + k));
            }
        }
    }
}

void winograd_weights(const float* values, const int64_t* rows, const Winograd& w, bool turned, int64_t begin,
                      int64_t end, float* to) {
    switch (w.form) {
        case WinogradForm::f4_stride2: return weights_as<F4Stride2Gradient>(values, rows, w, turned, begin, end, to);
        case WinogradForm::f2_stride2: return weights_as<F2Stride2Gradient>(values, rows, w, turned, begin, end, to);
        default: return weights_as<F4Gradient>(values, rows, w, turned, begin, end, to);
    }
}

// AyA' of one tile of gradients, of which `rows` x `columns` are inside of the map.
template <class F>
inline void tile_points(const float* from, int64_t row, int64_t rows, int64_t columns, int64_t step, float* to) {
    Floats half[F::points][F::tile];
#pragma GCC unroll 16
    for (int64_t j = 0; j < F::tile; ++j) {
        Floats y[F::tile] = {}, t[F::points];
        if (rows == F::tile && columns == F::tile) {
#pragma GCC unroll 16
            for (int64_t i = 0; i < F::tile; ++i) y[i] = load(from + i * row + j * V);
        } else if (j < columns) {
            for (int64_t i = 0; i < rows; ++i) y[i] = load(from + i * row + j * V);
        }
        F::gradient_points(y, t);
#pragma GCC unroll 16
        for (int64_t i = 0; i < F::points; ++i) half[i][j] = t[i];
    }
#pragma GCC unroll 16
    for (int64_t i = 0; i < F::points; ++i) {
        Floats t[F::points];
        F::gradient_points(half[i], t);
#pragma GCC unroll 16
        for (int64_t j = 0; j < F::points; ++j, to += step) save(to, t[j]);
    }
}

template <class F>
void gradient_points_as(const float* gradient, const Winograd& w, const WinogradPart& part, float* points) {
    const int64_t height = (w.height + F::stride - 1) / F::stride, width = (w.width + F::stride - 1) / F::stride;
    const int64_t row = width * V;
    for (int64_t block = part.begin; block < part.end; ++block) {
        for (int64_t tile = 0; tile < part.tiles; ++tile) {
            const int64_t y = (part.tile + tile) / w.columns * F::tile, x = (part.tile + tile) % w.columns * F::tile;
            const int64_t rows = height - y < F::tile ? height - y : F::tile;
            const int64_t columns = width - x < F::tile ? width - x : F::tile;
            tile_points<F>(gradient + (block * height + y) * row + x * V, row, rows, columns, w.target_step,
                           points + (block * w.room + tile) * V);
        }
    }
}

void winograd_gradient_points(const float* gradient, const Winograd& w, const WinogradPart& part, float* points) {
    switch (w.form) {
        case WinogradForm::f4_stride2: return gradient_points_as<F4Stride2Gradient>(gradient, w, part, points);
        case WinogradForm::f2_stride2: return gradient_points_as<F2Stride2Gradient>(gradient, w, part, points);
        default: return gradient_points_as<F4Gradient>(gradient, w, part, points);
    }
}

// Source channels by vectors of target channels whose sums over tiles are made at once.
#if defined(__AVX512F__)
constexpr int kGradientRows = 8, kGradientVectors = 3;
#elif defined(__AVX__)
constexpr int kGradientRows = 4, kGradientVectors = 3;
#else
constexpr int kGradientRows = 2, kGradientVectors = 2;
#endif

template <int N>
inline void gradient_sums(const float* points, const float* gradients, int64_t step, int64_t tiles, bool first,
                          float* sums, int64_t row) {
    Floats sum[kGradientRows][N] = {};
    for (int64_t tile = 0; tile < tiles; ++tile, points += V, gradients += V) {
        Floats g[N];
#pragma GCC unroll 4
        for (int j = 0; j < N; ++j) g[j] = load(gradients + j * step);
#pragma GCC unroll 16
        for (int i = 0; i < kGradientRows; ++i) {
#pragma GCC unroll 4
            for (int j = 0; j < N; ++j) sum[i][j] += points[i] * g[j];
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < kGradientRows; ++i) {
#pragma GCC unroll 4
        for (int j = 0; j < N; ++j) {
            float* const to = sums + i * row + j * V;
            save(to, first ? sum[i][j] : sum[i][j] + load(to));
        }
    }
}

template <int N>
void gradient_sums_of(int64_t vectors, const float* points, const float* gradients, int64_t step, int64_t tiles,
                      bool first, float* sums, int64_t row) {
    if (vectors == N) return gradient_sums<N>(points, gradients, step, tiles, first, sums, row);
    if constexpr (N > 1) gradient_sums_of<N - 1>(vectors, points, gradients, step, tiles, first, sums, row);
}

// Items are the source blocks of one point after the other.
void winograd_gradient_products(const float* points, const float* gradients, const Winograd& w,
                                const WinogradPart& part, bool first, float* sums) {
    const int64_t sources = w.source_channels / V, blocks = w.target_channels / V, step = w.room * V;
    const int64_t panels = (blocks + kGradientVectors - 1) / kGradientVectors;
    for (int64_t item = part.begin; item < part.end; ++item) {
        const int64_t point = item / sources, source = item % sources;
        const float* const from = points + point * w.source_step + source * step;
        const float* const by = gradients + point * w.target_step;
        float* const to = sums + point * sums_step(w) + source * V * w.target_channels;
        for (int64_t panel = 0; panel < panels; ++panel) {
            const int64_t begin = blocks * panel / panels, vectors = blocks * (panel + 1) / panels - begin;
            for (int64_t i = 0; i < V; i += kGradientRows) {
                gradient_sums_of<kGradientVectors>(vectors, from + i, by + begin * step, step, part.tiles, first,
                                                   to + i * w.target_channels + begin * V, w.target_channels);
            }
        }
    }
}

// G'dUG of V kernels; points lie `step` numbers apart.
template <class F>
inline void kernel_taps(const float* from, int64_t step, Floats* taps) {
    Floats half[F::taps][F::points];
#pragma GCC unroll 16
    for (int64_t j = 0; j < F::points; ++j) {
        Floats u[F::points], g[F::taps];
#pragma GCC unroll 16
        for (int64_t i = 0; i < F::points; ++i) u[i] = load(from + (i * F::points + j) * step);
        F::weight_taps(u, g);
#pragma GCC unroll 16
        for (int64_t y = 0; y < F::taps; ++y) half[y][j] = g[y];
    }
#pragma GCC unroll 16
    for (int64_t y = 0; y < F::taps; ++y) F::weight_taps(half[y], taps + y * F::taps);
}

template <class F>
void gradient_finish_as(const float* sums, const int64_t* rows, const Winograd& w, int64_t begin, int64_t end,
                        float* gradient) {
    constexpr int64_t numbers = F::taps * F::taps;
    for (int64_t source = begin; source < end; ++source) {
        for (int64_t target = 0; target < w.target_channels; target += V) {
            Floats taps[numbers];
            kernel_taps<F>(sums + source * w.target_channels + target, sums_step(w), taps);
            for (int64_t i = 0; i < V; ++i) {
                float* const to = gradient + rows[target + i] + source * numbers;
                for (int64_t tap = 0; tap < numbers; ++tap) to[tap] += taps[tap][i];
            }
        }
    }
}

void winograd_gradient_finish(const float* sums, const int64_t* rows, const Winograd& w, int64_t begin, int64_t end,
                              float* gradient) {
    switch (w.form) {
        case WinogradForm::f4_stride2: return gradient_finish_as<F4Stride2Gradient>(sums, rows, w, begin, end, gradient);
        case WinogradForm::f2_stride2: return gradient_finish_as<F2Stride2Gradient>(sums, rows, w, begin, end, gradient);
        default: return gradient_finish_as<F4Gradient>(sums, rows, w, begin, end, gradient);
    }
}

}  // namespace
