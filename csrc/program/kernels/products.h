// Products of a few rows, broadcast number by number, with one or two vectors of outputs; see lanes.h for the linkage.
#pragma once

#include "program/kernels/lanes.h"

namespace {

// Rows of a product: with two vectors of outputs each, as many sums as there are registers for.
#if defined(__AVX512F__)
constexpr int kRows = 12;
#elif defined(__AVX__)
constexpr int kRows = 6;
#else
constexpr int kRows = 2;
#endif

// R tiles by N vectors of outputs over all source channels. `weights`: [channel][N * V].
template <int R, int N>
inline void product(const float* points, int64_t step, const float* weights, int64_t channels, float* sums,
                    int64_t sums_step) {
    Floats sum[R][N] = {};
    for (int64_t c = 0; c < channels; c += V, points += step) {
#pragma GCC unroll 4
        for (int64_t k = 0; k < V; ++k, weights += N * V) {
            Floats w[N];
            for (int j = 0; j < N; ++j) w[j] = load(weights + j * V);
#pragma GCC unroll 16
            for (int i = 0; i < R; ++i) {
#pragma GCC unroll 4
                for (int j = 0; j < N; ++j) sum[i][j] += points[i * V + k] * w[j];
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 4
        for (int j = 0; j < N; ++j) save(sums + j * sums_step + i * V, sum[i][j]);
    }
}

template <int R, int N>
void product_of(int64_t rows, const float* points, int64_t step, const float* weights, int64_t channels, float* sums) {
    if (rows == R) return product<R, N>(points, step, weights, channels, sums, step);
    if constexpr (R > 1) product_of<R - 1, N>(rows, points, step, weights, channels, sums);
}

}  // namespace
