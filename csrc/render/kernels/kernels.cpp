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
    const auto alone = [&](int64_t k) {
        uint8_t rgb[kChannels];
        sample_at(pixels, row, width, height, x[k], y[k], rgb);
        for (int c = 0; c < kChannels; ++c) planes[c][k] = rgb[c];
    };
    const bool runs = row * height <= INT32_MAX;  // they count bytes in 32 bits
    int64_t k = 0;
    for (; runs && k + kRun <= count; k += kRun) {
        if (sample_run(pixels, row, width, height, x + k, y + k, planes, k)) continue;
        for (int64_t i = k; i < k + kRun; ++i) alone(i);
    }
    for (; k < count; ++k) alone(k);
}

void split(const uint8_t* pixels, int64_t count, uint8_t* const* planes) {
    uint8_t *const r = planes[0], *const g = planes[1], *const b = planes[2];
    for (int64_t k = 0; k < count; ++k) {
        r[k] = pixels[3 * k];
        g[k] = pixels[3 * k + 1];
        b[k] = pixels[3 * k + 2];
    }
}

float larger(float a, float b) { return a > b ? a : b; }
float smaller(float a, float b) { return a < b ? a : b; }
float distance(float a, float b) { return larger(a - b, b - a); }
float cut(float value) { return static_cast<float>(static_cast<int32_t>(value)); }

// The whole number of 1/4096 that OpenCV's tables hold for numerator / divisor.
float quotient(float numerator, float divisor) { return cut(4096.0F * numerator / larger(divisor, 1.0F) + 0.5F); }

constexpr int64_t kBlock = 256;  // pixels whose floats stay in the first-level cache

// OpenCV's conversions of 8 bits: to whole numbers of hue (units of two degrees), saturation and value, and back in
// floats, cut off. All is done in floats, where but for one product it is exact: so the compiler makes vectors of it.
void colour_block(const float* gains, int64_t count, float* reds, float* greens, float* blues) {
    const float hue_gain = gains[0], saturation_gain = gains[1], value_gain = gains[2];
#pragma GCC ivdep
    for (int64_t k = 0; k < count; ++k) {
        const float r = reds[k], g = greens[k], b = blues[k];
        const float high = larger(larger(r, g), b), spread = high - smaller(smaller(r, g), b);
        const float saturation = cut(spread * quotient(255.0F, high) * (1.0F / 4096.0F) + 0.5F);
        const float turn = high == r ? g - b : high == g ? b - r + 2.0F * spread : r - g + 4.0F * spread;
        const float around = cut(turn * quotient(30.0F, spread) * (1.0F / 4096.0F) + 180.5F);
        const float turned = cut((around >= 180.0F ? around - 180.0F : around) * hue_gain);
        const float h = (turned - 180.0F * cut(turned * (1.0F / 180.0F) + 1e-4F)) * (1.0F / 30.0F);
        const float v = smaller(cut(high * value_gain), 255.0F);
        const float rest = v * smaller(cut(saturation * saturation_gain), 255.0F) * (1.0F / 255.0F), least = v - rest;
        const auto channel = [&](float ramp) { return least + rest * smaller(larger(ramp, 0.0F), 1.0F); };
        reds[k] = channel(distance(h, 3.0F) - 1.0F);
        greens[k] = channel(2.0F - distance(h, 2.0F));
        blues[k] = channel(2.0F - distance(h, 4.0F));
    }
}

void colour(const float* gains, int64_t count, uint8_t* const* planes) {
    float values[kChannels][kBlock];
    for (int64_t begin = 0; begin < count; begin += kBlock) {
        const int64_t number = count - begin < kBlock ? count - begin : kBlock;
        for (int c = 0; c < kChannels; ++c) {
            const uint8_t* const from = planes[c] + begin;  // a local: bytes that are written may be anything's
            for (int64_t k = 0; k < number; ++k) values[c][k] = from[k];
        }
        colour_block(gains, number, values[0], values[1], values[2]);
        for (int c = 0; c < kChannels; ++c) {
            uint8_t* const to = planes[c] + begin;
            for (int64_t k = 0; k < number; ++k) to[k] = static_cast<uint8_t>(static_cast<int32_t>(values[c][k]));
        }
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
