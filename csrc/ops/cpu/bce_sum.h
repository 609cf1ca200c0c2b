// Sums of binary cross-entropies over arrays, with their slopes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ops/bce.h"

namespace yolo::ops {

namespace bce {

constexpr int64_t kBlock = 256;
constexpr int64_t kLanes = 8;

template <bool focal>
void block(const float* x, const float* target, int64_t n, const BceForm& form, float scale, float* loss,
           float* slope) {
    for (int64_t i = 0; i < n; ++i) {
        const Bce found = at<focal>(x[i], target[i], form);
        loss[i] = found.loss;
        slope[i] = found.slope * scale;
    }
}

// In double, in an order that depends on n alone.
inline double sum(float* values, int64_t n) {
    const int64_t whole = (n + kLanes - 1) / kLanes * kLanes;
    std::fill(values + n, values + whole, 0.0f);
    double lanes[kLanes] = {};
    for (int64_t i = 0; i < whole; i += kLanes) {
        for (int64_t k = 0; k < kLanes; ++k) lanes[k] += values[i + k];
    }
    double total = 0;
    for (const double lane : lanes) total += lane;
    return total;
}

}  // namespace bce

// The sum of n losses; slope (n, or nullptr) becomes scale * d loss / d logit. target: 0 to 1.
inline double bce_with_slope(const float* logits, const float* target, int64_t n, const BceForm& form, float scale,
                             float* slope) {
    float loss[bce::kBlock], unused[bce::kBlock];
    double total = 0;
    for (int64_t begin = 0; begin < n; begin += bce::kBlock) {
        const int64_t count = std::min(bce::kBlock, n - begin);
        const auto run = form.gamma > 0 ? bce::block<true> : bce::block<false>;
        run(logits + begin, target + begin, count, form, scale, loss, slope ? slope + begin : unused);
        total += bce::sum(loss, count);
    }
    return total;
}

}  // namespace yolo::ops
