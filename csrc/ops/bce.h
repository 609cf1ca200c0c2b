// Binary cross-entropy on a logit with its slope, for every kind of processor: float32 arithmetic that compilers
// vectorise.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "cuda/words.h"

namespace yolo::ops {

// positive_weight multiplies the positive part; gamma > 0 makes it the focal loss (Lin et al. 2017, alpha 0.25).
struct BceForm {
    float positive_weight, gamma;
};

struct Bce {
    float loss, slope;
};

namespace bce {

constexpr float kFocalAlpha = 0.25f;
constexpr float kFocalFloor = 1e-7f;  // keeps the slope of m^gamma finite at m = 0 for gamma < 1

// exp(y) for y <= 0 to a relative 2e-7; below -87 it stays at exp(-87). NaN stays NaN.
// y = n ln 2 + r with |r| <= ln 2 / 2, the Taylor series of exp(r) to r^7, then n into the exponent.
YOLO_DEVICE float exp_of_negative(float y) {
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
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127u) << 23;  // the upper bits of 1.5 * 2^23 leave at the left
    float power;
    memcpy(&power, &bits, sizeof power);
    return series * power;
}

// log(1 + e) for 0 <= e <= 1 to a relative 3e-7: 2 artanh(z) with z = e / (2 + e), whose series to z^13 is cut at
// z <= 1/3 with an error below 2e-8.
YOLO_DEVICE float log1p_of_fraction(float e) {
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
YOLO_DEVICE Bce at(float logit, float t, const BceForm& form) {
    const float other = 1.0f - t;
    const float e = exp_of_negative(-fabsf(logit));
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
        const float factor = alpha * powf(m, form.gamma);
        const float bend = wrong < kFocalFloor ? 0.0f : form.gamma * (1.0f - 2.0f * t) * p * q / m;
        rise = factor * (rise + value * bend);
        value = factor * value;
    }
    return {value, rise};
}

}  // namespace bce

// target: 0 to 1.
YOLO_DEVICE Bce bce_of(float logit, float target, const BceForm& form) {
    return form.gamma > 0 ? bce::at<true>(logit, target, form) : bce::at<false>(logit, target, form);
}

}  // namespace yolo::ops
