// The renderer's loops over pixels, compiled once for each instruction set, with equal results: whole numbers, and floats
// without fused multiply-adds.
#pragma once

#include <cstdint>

namespace yolo::render {

// Places on a canvas are in units of 1/32 pixel.
constexpr int kPlaceBits = 5;

// Weights of the two pixels or rows that a linear resizing takes: parts of 2048.
constexpr int kWeightBits = 11;

// For one coordinate of a resized image: the first pixel, and the weights of that one and the next.
struct Taps {
    int32_t first;
    int16_t weights[2];
};

struct Kernels {
    // Bilinear: count pixels of an RGB image [height, width, 3] at places (x, y), to three planes; what lies outside is
    // grey. The image's memory goes on for 8 bytes behind its last pixel.
    void (*sample)(const uint8_t* pixels, int64_t row, int64_t width, int64_t height, const int32_t* x,
                   const int32_t* y, int64_t count, uint8_t* const* planes);
    // RGB pixels to three planes.
    void (*split)(const uint8_t* pixels, int64_t count, uint8_t* const* planes);
    // Hue, saturation and value of count pixels of three planes, each multiplied by its gain (0 or more).
    void (*colour)(const float* gains, int64_t count, uint8_t* const* planes);
    // The bytes of a row from last to first.
    void (*mirror)(const uint8_t* from, int64_t count, uint8_t* out);
    // Linear, along a row: for each of count pixels of `channels` bytes its sum of weights * pixels. The memory of `from`
    // goes on for 8 bytes behind its last pixel, that of `out` for 4 numbers.
    void (*across)(const uint8_t* from, const Taps* taps, int64_t count, int64_t channels, int32_t* out);
    // Linear, from two rows of such sums.
    void (*down)(const int32_t* upper, const int32_t* lower, const int16_t* weights, int64_t count, uint8_t* out);
};

namespace generic {
extern const Kernels kernels;
}
#ifdef YOLO_X86
namespace avx2 {
extern const Kernels kernels;
}
#endif

// The fastest that this processor has.
const Kernels& kernels();

}  // namespace yolo::render
