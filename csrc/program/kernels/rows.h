// Loops over rows of floats: to and from blocks of channels, and softmax; see lanes.h for the linkage.
#pragma once

#include "program/kernels/lanes.h"
#include "program/kernels/kernels.h"

namespace {

// Swaps the numbers above and below the diagonal of 2 x 2 blocks of `Step` numbers.
template <int64_t Step>
inline void exchange(Floats& a, Floats& b) {
    Ints low{}, high{};
    for (int64_t i = 0; i < V; ++i) {
        low[i] = static_cast<int32_t>(i & Step ? V + i - Step : i);
        high[i] = static_cast<int32_t>(i & Step ? V + i : i + Step);
    }
#ifdef __clang__
    const Floats first = a, second = b;
    for (int64_t i = 0; i < V; ++i) {
        a[i] = low[i] < V ? first[low[i]] : second[low[i] - V];
        b[i] = high[i] < V ? first[high[i]] : second[high[i] - V];
    }
#else
    const Floats first = __builtin_shuffle(a, b, low);
    b = __builtin_shuffle(a, b, high);
    a = first;
#endif
}

template <int64_t Step>
inline void exchange_all(Floats* rows) {
#pragma GCC unroll 16
    for (int64_t i = 0; i < V; ++i) {
        if ((i & Step) == 0) exchange<Step>(rows[i], rows[i + Step]);
    }
}

// V vectors of V numbers: rows become columns, in log2(V) rounds.
inline void transpose(Floats* rows) {
    exchange_all<1>(rows);
    exchange_all<2>(rows);
    exchange_all<4>(rows);
    if (V == 16) exchange_all<V / 2>(rows);
}

// Without AVX a transposition by shuffles takes longer than one number at a time.
#ifdef __AVX__
constexpr bool kShuffles = true;
#else
constexpr bool kShuffles = false;
#endif

template <class T>
void planar(const void* x, int64_t count, int64_t channels, float* out, int64_t stride) {
    int64_t p = 0;
    for (; kShuffles && p + V <= count; p += V) {
        Floats tile[V];
#pragma GCC unroll 16
        for (int64_t i = 0; i < V; ++i) tile[i] = load<T>(x, p + i);
        transpose(tile);
        for (int64_t c = 0; c < channels; ++c) save(out + c * stride + p, tile[c]);
    }
    for (; p < count; ++p) {
        float pixel[V];
        save(pixel, load<T>(x, p));
        for (int64_t c = 0; c < channels; ++c) out[c * stride + p] = pixel[c];
    }
}

template <class T>
void blocked(const float* rows, int64_t stride, int64_t channels, int64_t count, void* out) {
    int64_t p = 0;
    for (; kShuffles && p + V <= count; p += V) {
        Floats tile[V];
        for (int64_t c = 0; c < V; ++c) tile[c] = c < channels ? load(rows + c * stride + p) : Floats{};
        transpose(tile);
#pragma GCC unroll 16
        for (int64_t i = 0; i < V; ++i) save<T>(out, p + i, tile[i]);
    }
    for (; p < count; ++p) {
        float pixel[V] = {};
        for (int64_t c = 0; c < channels; ++c) pixel[c] = rows[c * stride + p];
        save<T>(out, p, load(pixel));
    }
}

inline float sum_of(Floats x) {
    float sum = 0.0f;
    for (int64_t i = 0; i < V; ++i) sum += x[i];
    return sum;
}

inline int64_t whole_vectors(int64_t count) { return (count + V - 1) / V * V; }

// The largest is subtracted first, so that no exponential overflows.
void softmax(float* row, int64_t count, float scale) {
    const int64_t padded = whole_vectors(count);
    float largest = row[0];
    for (int64_t i = 1; i < count; ++i) largest = row[i] > largest ? row[i] : largest;
    for (int64_t i = count; i < padded; ++i) row[i] = largest;
    Floats sum{};
    for (int64_t i = 0; i < padded; i += V) {
        const Floats e = exponential((load(row + i) - largest) * scale);
        save(row + i, e);
        if (i + V <= count) sum += e;
    }
    float total = sum_of(sum);
    for (int64_t i = count / V * V; i < count; ++i) total += row[i];
    for (int64_t i = 0; i < padded; i += V) save(row + i, load(row + i) / total);
    for (int64_t i = count; i < padded; ++i) row[i] = 0.0f;
}

// dx = scale * w * (dw - sum(w dw)).
void softmax_back(const float* weights, float* grad, int64_t count, float scale) {
    const int64_t padded = whole_vectors(count);
    for (int64_t i = count; i < padded; ++i) grad[i] = 0.0f;
    Floats sum{};
    for (int64_t i = 0; i < padded; i += V) sum += load(weights + i) * load(grad + i);
    const float mean = sum_of(sum);
    for (int64_t i = 0; i < padded; i += V) save(grad + i, load(weights + i) * (load(grad + i) - mean) * scale);
}

}  // namespace
