// Compiled once for each instruction set: YOLO_KERNELS names the namespace.
#include "render/kernels/kernels.h"

#include "render/kernels/vectors.h"
#include "render/sample.h"

namespace yolo::render::YOLO_KERNELS {
namespace {

constexpr int kSteps = 1 << kPlaceBits, kFraction = kSteps - 1;
constexpr int kProductBits = 2 * kPlaceBits;  // of two weights that add up to kSteps each

bool inside(int32_t at, int64_t length) { return at >= 0 && at < length; }

// One pixel whose neighbours may lie outside.
void sample_at(const uint8_t* pixels, int64_t row, int64_t width, int64_t height, int32_t x, int32_t y, uint8_t* rgb) {
    const int32_t left = x >> kPlaceBits, top = y >> kPlaceBits;
    const int32_t across[2] = {kSteps - (x & kFraction), x & kFraction};
    const int32_t down[2] = {kSteps - (y & kFraction), y & kFraction};
    int32_t sums[kChannels] = {};
    for (int j = 0; j < 2; ++j) {
        for (int i = 0; i < 2; ++i) {
            const bool there = inside(left + i, width) && inside(top + j, height);
            const int64_t at = (top + j) * row + (left + i) * kChannels;
            for (int c = 0; c < kChannels; ++c) sums[c] += across[i] * down[j] * (there ? pixels[at + c] : kGrey);
        }
    }
    for (int c = 0; c < kChannels; ++c) {
        rgb[c] = static_cast<uint8_t>((sums[c] + (1 << (kProductBits - 1))) >> kProductBits);
    }
}

void sample(const uint8_t* pixels, int64_t row, int64_t width, int64_t height, const int32_t* x, const int32_t* y,
            int64_t count, uint8_t* const* planes) {
    int64_t k = 0;
    for (; k + kRun <= count; k += kRun) {
        bool whole = true;
        for (int64_t i = 0; i < kRun; ++i) {
            whole &= inside(x[k + i] >> kPlaceBits, width - 1) & inside(y[k + i] >> kPlaceBits, height - 1);
        }
        if (whole && sample_run(pixels, row, x + k, y + k, planes, k)) continue;
        for (int64_t i = k; i < k + kRun; ++i) {
            uint8_t rgb[kChannels];
            sample_at(pixels, row, width, height, x[i], y[i], rgb);
            for (int c = 0; c < kChannels; ++c) planes[c][i] = rgb[c];
        }
    }
    for (; k < count; ++k) {
        uint8_t rgb[kChannels];
        sample_at(pixels, row, width, height, x[k], y[k], rgb);
        for (int c = 0; c < kChannels; ++c) planes[c][k] = rgb[c];
    }
}

void split(const uint8_t* pixels, int64_t count, uint8_t* const* planes) {
    uint8_t *const r = planes[0], *const g = planes[1], *const b = planes[2];
    for (int64_t k = 0; k < count; ++k) {
        r[k] = pixels[3 * k];
        g[k] = pixels[3 * k + 1];
        b[k] = pixels[3 * k + 2];
    }
}

int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }
int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }
float between(float value, float low, float high) {
    const float least = value > low ? value : low;
    return least < high ? least : high;
}
float distance(float a, float b) { return a > b ? a - b : b - a; }

// numerator / divisor, rounded, as OpenCV's tables have it; 0 for a divisor of 0.
int32_t quotient(float numerator, int32_t divisor) {
    return static_cast<int32_t>(numerator / static_cast<float>(larger(divisor, 1)) + 0.5F);
}

// OpenCV's conversions of 8 bits: to HSV in whole numbers, hue in units of two degrees, and back in floats, cut off.
void colour(const float* gains, int64_t count, uint8_t* const* planes) {
    uint8_t *const reds = planes[0], *const greens = planes[1], *const blues = planes[2];
    const float hue_gain = gains[0], saturation_gain = gains[1], value_gain = gains[2];
#pragma GCC ivdep
    for (int64_t k = 0; k < count; ++k) {
        const int32_t r = reds[k], g = greens[k], b = blues[k];
        const int32_t high = larger(larger(r, g), b), low = smaller(smaller(r, g), b), spread = high - low;
        const int32_t turn = high == r ? g - b : high == g ? b - r + 2 * spread : r - g + 4 * spread;
        const int32_t saturation = (spread * quotient(1044480.0F, high) + 2048) >> 12;
        const int32_t hue = (turn * quotient(122880.0F, spread) + 2048) >> 12;
        const int32_t turned = static_cast<int32_t>(static_cast<float>(hue + (hue < 0 ? 180 : 0)) * hue_gain);
        const int32_t turns = static_cast<int32_t>(static_cast<float>(turned) * (1.0F / 180.0F) + 1e-4F);
        const float h = static_cast<float>(turned - 180 * turns) * (6.0F / 180.0F);
        const float s = static_cast<float>(smaller(static_cast<int32_t>(static_cast<float>(saturation) * saturation_gain), 255)) * (1.0F / 255.0F);
        const float v = static_cast<float>(smaller(static_cast<int32_t>(static_cast<float>(high) * value_gain), 255));
        const float least = v * (1.0F - s), rest = v - least;
        reds[k] = static_cast<uint8_t>(static_cast<int32_t>(least + rest * between(distance(h, 3.0F) - 1.0F, 0.0F, 1.0F)));
        greens[k] = static_cast<uint8_t>(static_cast<int32_t>(least + rest * between(2.0F - distance(h, 2.0F), 0.0F, 1.0F)));
        blues[k] = static_cast<uint8_t>(static_cast<int32_t>(least + rest * between(2.0F - distance(h, 4.0F), 0.0F, 1.0F)));
    }
}

void mirror(const uint8_t* __restrict from, int64_t count, uint8_t* __restrict out) {
    for (int64_t k = 0; k < count; ++k) out[k] = from[count - 1 - k];
}

void across(const uint8_t* from, const Taps* taps, int64_t count, int64_t channels, int32_t* out) {
    if (channels == kChannels && across_rgb(from, taps, count, out)) return;
    for (int64_t k = 0; k < count; ++k) {
        const uint8_t* const at = from + taps[k].first * channels;
        for (int64_t c = 0; c < channels; ++c) {
            out[k * channels + c] = at[c] * taps[k].weights[0] + at[channels + c] * taps[k].weights[1];
        }
    }
}

void down(const int32_t* upper, const int32_t* lower, const int16_t* weights, int64_t count, uint8_t* out) {
    const int32_t first = weights[0], second = weights[1];
    for (int64_t k = 0; k < count; ++k) {
        const int32_t sum = (first * (upper[k] >> 4) >> 16) + (second * (lower[k] >> 4) >> 16);
        out[k] = static_cast<uint8_t>((sum + 2) >> 2);
    }
}

}  // namespace

extern const Kernels kernels = {sample, split, colour, mirror, across, down};

}  // namespace yolo::render::YOLO_KERNELS
