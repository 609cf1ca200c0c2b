// 1x1 convolutions as one matrix product, with bias, activation and residual behind it; see lanes.h for the linkage.
#pragma once

#include "program/kernels/activations.h"
#include "program/kernels/kernels.h"
#include "program/kernels/products.h"

namespace {

using yolo::program::Activation;
using yolo::program::Matmul;

// Pixels at once, whose numbers one pair of target blocks after the other reads: of so many channels half of a
// first-level cache, beside which the pair's weights and sums lie.
constexpr int64_t kMostAtOnce = 16 * kRows, kSourceNumbers = 4096;

template <int R, int N>
void sums_of(int64_t rows, const float* source, const Matmul& m, const float* weights, float* sums) {
    if (rows == R) return product<R, N>(source, m.pixels * V, weights, m.source_channels, sums, kMostAtOnce * V);
    if constexpr (R > 1) sums_of<R - 1, N>(rows, source, m, weights, sums);
}

// `count` pixels of a block.
template <Function C, bool Adds>
inline void finish_block(const float* sums, const float* bias, float value, int64_t count, const float* residual,
                         float* target) {
    const Floats shift = bias == nullptr ? Floats{} : load(bias);
    for (int64_t at = 0; at < count * V; at += V) {
        const Floats made = apply<C>(load(sums + at) + shift, value);
        save(target + at, Adds ? made + load(residual + at) : made);
    }
}

template <Function C, bool Adds>
void matmul_as(const float* source, const float* weights, const float* bias, const Matmul& m, float value,
               const float* residual, float* target, int64_t begin, int64_t end) {
    alignas(64) float sums[2 * kMostAtOnce * V];
    const int64_t plane = m.pixels * V, blocks = m.target_channels / V, total = end - begin;
    const int64_t few = kSourceNumbers / m.source_channels;
    const int64_t most = few > kMostAtOnce ? kMostAtOnce : few > kRows ? few : kRows;
    const int64_t parts = (total + most - 1) / most;
    for (int64_t part = 0; part < parts; ++part) {
        const int64_t first = begin + total * part / parts, count = begin + total * (part + 1) / parts - first;
        const int64_t groups = (count + kRows - 1) / kRows;
        for (int64_t block = 0; block < blocks; block += 2) {
            const int64_t pair = block + 1 < blocks ? 2 : 1;
            const auto call = pair == 2 ? sums_of<kRows, 2> : sums_of<kRows, 1>;
            const float* const panel = weights + block * V * m.source_channels;
            for (int64_t group = 0; group < groups; ++group) {
                const int64_t from = count * group / groups, rows = count * (group + 1) / groups - from;
                call(rows, source + (first + from) * V, m, panel, sums + from * V);
            }
            for (int64_t j = 0; j < pair; ++j) {
                const int64_t at = (block + j) * plane + first * V;
                finish_block<C, Adds>(sums + j * kMostAtOnce * V, bias == nullptr ? nullptr : bias + (block + j) * V,
                                      value, count, Adds ? residual + at : nullptr, target + at);
            }
        }
    }
}

void matmul(const float* source, const float* weights, const float* bias, const Matmul& m, const Activation& f,
            const float* residual, float* target, int64_t begin, int64_t end) {
#define YOLO_CALL(C)                                                                                        \
    (residual == nullptr ? matmul_as<C, false>(source, weights, bias, m, f.value, residual, target, begin, end) \
                         : matmul_as<C, true>(source, weights, bias, m, f.value, residual, target, begin, end))
    YOLO_FOR_FUNCTION(f, YOLO_CALL)
#undef YOLO_CALL
}

}  // namespace
