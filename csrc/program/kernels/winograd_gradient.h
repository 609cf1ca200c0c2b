// What training adds to winograd.h: weights from where they lie, and their gradients; see lanes.h for the linkage.
//
// The weights' gradient is the same sum over tiles the other way round, F(3x3, 4x4): with points V = B'dB of the inputs
// and Y = AyA' of the outputs' gradients, of each point a matrix product over tiles, dU = V'Y, and G'dUG is the gradient.
// V: [36][source channel block][tile][lanes], Y the same of target channels, dU: [36][source][target].
#pragma once

#include "program/kernels/kernels.h"
#include "program/kernels/winograd_transforms.h"

namespace {

using yolo::program::Winograd;
using yolo::program::WinogradPart;

using yolo::program::sums_step;

constexpr int64_t kTaps = 3, kPoints = kInputs * kInputs, kNumbers = kTaps * kTaps;

// Gg.
inline void weight_points(const Floats* g, Floats* u) {
    const Floats even = g[0] + g[2], scaled = g[0] * (1.0f / 24.0f) + g[2] * (1.0f / 6.0f), odd = g[1] * (1.0f / 12.0f);
    u[0] = g[0] * 0.25f;
    u[1] = (even + g[1]) * (-1.0f / 6.0f);
    u[2] = (even - g[1]) * (-1.0f / 6.0f);
    u[3] = scaled + odd;
    u[4] = scaled - odd;
    u[5] = g[2];
}

// G'u.
inline void weight_taps(const Floats* u, Floats* g) {
    const Floats s = (u[1] + u[2]) * (1.0f / 6.0f), p = u[3] + u[4];
    g[0] = u[0] * 0.25f - s + p * (1.0f / 24.0f);
    g[1] = (u[2] - u[1]) * (1.0f / 6.0f) + (u[3] - u[4]) * (1.0f / 12.0f);
    g[2] = p * (1.0f / 6.0f) - s + u[5];
}

// Ay.
inline void gradient_points(const Floats* y, Floats* t) {
    const Floats s = y[0] + y[2], d = y[1] + y[3], p = y[0] + 4.0f * y[2], q = 2.0f * y[1] + 8.0f * y[3];
    t[0] = y[0];
    t[1] = s + d;
    t[2] = s - d;
    t[3] = p + q;
    t[4] = p - q;
    t[5] = y[3];
}

// GgG' of V kernels; points lie `step` numbers apart.
inline void kernel_points(const Floats* taps, int64_t step, float* to) {
    Floats columns[kTaps][kInputs];
#pragma GCC unroll 16
    for (int64_t x = 0; x < kTaps; ++x) {
        const Floats column[kTaps] = {taps[x], taps[kTaps + x], taps[2 * kTaps + x]};
        weight_points(column, columns[x]);
    }
#pragma GCC unroll 16
    for (int64_t i = 0; i < kInputs; ++i) {
        const Floats row[kTaps] = {columns[0][i], columns[1][i], columns[2][i]};
        Floats u[kInputs];
        weight_points(row, u);
#pragma GCC unroll 16
        for (int64_t j = 0; j < kInputs; ++j, to += step) save(to, u[j]);
    }
}

// Sources at once: of each point so many numbers are written together that no two points' lines drive each other out.
constexpr int64_t kSources = 8;

void winograd_weights(const float* values, const int64_t* rows, const Winograd& w, bool turned, int64_t begin,
                      int64_t end, float* to) {
    alignas(64) float made[kPoints * kSources * 2 * V];
    for (int64_t panel = begin; panel < end; ++panel) {
        const int64_t first = panel * 2 * V, left = w.target_channels - first, width = left < 2 * V ? left : 2 * V;
        for (int64_t source = 0; source < w.source_channels; source += kSources) {
            for (int64_t k = 0; k < kSources * width; k += V) {
                const int64_t from = source + k / width, target = first + k % width;
                Floats taps[kNumbers];
                for (int64_t i = 0; i < V; ++i) {
                    const float* const kernel =
                        turned ? values + rows[from] + (target + i) * kNumbers : values + rows[target + i] + from * kNumbers;
#pragma GCC unroll 16
                    for (int64_t tap = 0; tap < kNumbers; ++tap) taps[tap][i] = kernel[turned ? kNumbers - 1 - tap : tap];
                }
                kernel_points(taps, kSources * 2 * V, made + k);
            }
            float* const place = to + first * w.source_channels + source * width;
            for (int64_t point = 0; point < kPoints; ++point) {
                float* const into = place + point * w.target_channels * w.source_channels;
                for (int64_t k = 0; k < kSources * width; k += V) {
                    save(into + k, load(made + point * kSources * 2 * V + k));
                }
            }
        }
    }
}

// AyA' of one tile of gradients, of which `rows` x `columns` are inside of the map.
inline void tile_points(const float* from, int64_t row, int64_t rows, int64_t columns, int64_t step, float* to) {
    Floats half[kInputs][kTile];
#pragma GCC unroll 16
    for (int64_t j = 0; j < kTile; ++j) {
        Floats y[kTile] = {}, t[kInputs];
        if (rows == kTile && columns == kTile) {
#pragma GCC unroll 16
            for (int64_t i = 0; i < kTile; ++i) y[i] = load(from + i * row + j * V);
        } else if (j < columns) {
            for (int64_t i = 0; i < rows; ++i) y[i] = load(from + i * row + j * V);
        }
        gradient_points(y, t);
#pragma GCC unroll 16
        for (int64_t i = 0; i < kInputs; ++i) half[i][j] = t[i];
    }
#pragma GCC unroll 16
    for (int64_t i = 0; i < kInputs; ++i) {
        Floats t[kInputs];
        gradient_points(half[i], t);
#pragma GCC unroll 16
        for (int64_t j = 0; j < kInputs; ++j, to += step) save(to, t[j]);
    }
}

void winograd_gradient_points(const float* gradient, const Winograd& w, const WinogradPart& part, float* points) {
    const int64_t row = w.width * V;
    for (int64_t block = part.begin; block < part.end; ++block) {
        for (int64_t tile = 0; tile < part.tiles; ++tile) {
            const int64_t y = (part.tile + tile) / w.columns * kTile, x = (part.tile + tile) % w.columns * kTile;
            const int64_t rows = w.height - y < kTile ? w.height - y : kTile;
            const int64_t columns = w.width - x < kTile ? w.width - x : kTile;
            tile_points(gradient + (block * w.height + y) * row + x * V, row, rows, columns, w.target_step,
                        points + (block * w.room + tile) * V);
        }
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

// Adds G'dUG of source channels to the gradient.
void winograd_gradient_finish(const float* sums, const int64_t* rows, const Winograd& w, int64_t begin, int64_t end,
                              float* gradient) {
    const int64_t step = sums_step(w);
    for (int64_t source = begin; source < end; ++source) {
        for (int64_t target = 0; target < w.target_channels; target += V) {
            const float* const from = sums + source * w.target_channels + target;
            Floats half[kTaps][kInputs];
#pragma GCC unroll 16
            for (int64_t j = 0; j < kInputs; ++j) {
                Floats u[kInputs], g[kTaps];
#pragma GCC unroll 16
                for (int64_t i = 0; i < kInputs; ++i) u[i] = load(from + (i * kInputs + j) * step);
                weight_taps(u, g);
#pragma GCC unroll 16
                for (int64_t y = 0; y < kTaps; ++y) half[y][j] = g[y];
            }
            float taps[kNumbers][V];
#pragma GCC unroll 16
            for (int64_t y = 0; y < kTaps; ++y) {
                Floats g[kTaps];
                weight_taps(half[y], g);
#pragma GCC unroll 16
                for (int64_t x = 0; x < kTaps; ++x) save(taps[y * kTaps + x], g[x]);
            }
            for (int64_t i = 0; i < V; ++i) {
                float* const to = gradient + rows[target + i] + source * kNumbers;
                for (int64_t tap = 0; tap < kNumbers; ++tap) to[tap] += taps[tap][i];
            }
        }
    }
}

}  // namespace
