// Binary cross-entropy on logits with its slope, over arrays: float32 arithmetic that the compiler vectorises.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace yolo::ops {

// positive_weight multiplies the positive part; gamma > 0 makes it the focal loss (Lin et al. 2017, alpha 0.25).
struct BceForm {
    float positive_weight, gamma;
};

namespace bce {

constexpr int64_t kBlock = 256;
constexpr int64_t kLanes = 8;
constexpr float kFocalAlpha = 0.25f;
constexpr float kFocalFloor = 1e-7f;  // keeps the slope of m^gamma finite at m = 0 for gamma < 1

// exp(y) for y <= 0 to a relative 2e-7; below -87 it stays at exp(-87). NaN stays NaN.
// y = n ln 2 + r with |r| <= ln 2 / 2, the Taylor series of exp(r) to r^7, then n into the exponent.
inline float exp_of_negative(float y) {
    constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
    constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    y = y < -87.0f ? -87.0f : y;
    const float shifted = y * kLog2E + kRound;
    const float n = shifted - kRound;
    const float r = (y - n * kLn2High) - n * kLn2Low;
    float series = 1.0f / 5040;
    series = series * r + 1.0f / 720;
    series = series * r + 1.0f / 120;
    series = series * r + 1.0f / 24;
    series = series * r + 1.0f / 6;
    series = series * r + 0.5f;
    series = series * r + 1.0f;
    series = series * r + 1.0f;
    uint32_t bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127u) << 23;  // the upper bits of 1.5 * 2^23 leave at the left
    float power;
    std::memcpy(&power, &bits, sizeof power);
    return series * power;
}

// log(1 + e) for 0 <= e <= 1 to a relative 3e-7: 2 artanh(z) with z = e / (2 + e), whose series to z^13 is cut at
// z <= 1/3 with an error below 2e-8.
inline float log1p_of_fraction(float e) {
    const float z = e / (2.0f + e), s = z * z;
    float series = 1.0f / 13;
    series = series * s + 1.0f / 11;
    series = series * s + 1.0f / 9;
    series = series * s + 1.0f / 7;
    series = series * s + 1.0f / 5;
    series = series * s + 1.0f / 3;
    return 2.0f * z + 2.0f * z * (s * series);
}

// Both halves of the loss are made from exp(-|x|), so that neither they nor the slope cancel for large logits:
// t w log(1 + exp(-x)) + (1 - t) log(1 + exp(x)); slope (1 - t) p - t w q with p = sigmoid(x), q = 1 - p.
template <bool focal>
void block(const float* x, const float* target, int64_t n, const BceForm& form, float scale, float* loss,
           float* slope) {
    for (int64_t i = 0; i < n; ++i) {
        const float logit = x[i], t = target[i], other = 1.0f - t;
        const float e = exp_of_negative(-std::abs(logit));
        const float tail = log1p_of_fraction(e), share = 1.0f / (1.0f + e);
        const float p = logit < 0.0f ? e * share : share, q = logit < 0.0f ? share : e * share;
        const float positive = logit < 0.0f ? tail - logit : tail, negative = logit < 0.0f ? tail : tail + logit;
        const float weight = form.positive_weight * t;
        float value = weight * positive + other * negative;
        float rise = other * p - weight * q;
        if (focal) {
            const float alpha = t * kFocalAlpha + other * (1.0f - kFocalAlpha);
            const float wrong = t * q + other * p;
            const float m = wrong < kFocalFloor ? kFocalFloor : wrong;
            const float factor = alpha * std::pow(m, form.gamma);
            const float bend = wrong < kFocalFloor ? 0.0f : form.gamma * (1.0f - 2.0f * t) * p * q / m;
            rise = factor * (rise + value * bend);
            value = factor * value;
        }
        loss[i] = value;
        slope[i] = rise * scale;
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
