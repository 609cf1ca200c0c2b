// Images of any sizes, resized and padded with grey to one size, as yolo.data.letterbox does it with OpenCV.
#pragma once

#include <cstdint>

#include "cuda/device.h"
#include "cuda/map.h"

namespace yolo::ops::cuda {

// An image on the device, three bytes a pixel, and the place in the result where its resized pixels lie.
struct LetterboxImage {
    const uint8_t* pixels;
    int64_t row;  // bytes from one row to the next
    int32_t height, width, resized_height, resized_width, top, left;
    double down, across;  // pixels of the image a resized one, as OpenCV rounds them

    LetterboxImage(const uint8_t* pixels, int64_t row, int32_t height, int32_t width, int32_t resized_height,
                   int32_t resized_width, int32_t top, int32_t left)
        : pixels(pixels), row(row), height(height), width(width), resized_height(resized_height),
          resized_width(resized_width), top(top), left(left), down(scale(height, resized_height)),
          across(scale(width, resized_width)) {}

private:
    static double scale(int32_t from, int32_t to) {
        return 1.0 / (static_cast<double>(to) / static_cast<double>(from));
    }
};

// `table`: one a result, on the device; what of an image lies outside the result is not there. `swapped`: the first
// channel becomes the third (BGR to RGB). The results are equal to OpenCV's.

// uint8 [count, 3, height, width], at an address that is a multiple of 4.
void letterbox(const LetterboxImage* table, int64_t count, int64_t height, int64_t width, bool swapped, uint8_t* planes,
               yolo::cuda::Stream stream);
// A map of three channels of `count` images, each number divided by 255.
void letterbox(const LetterboxImage* table, bool swapped, const yolo::cuda::Map& target, yolo::cuda::Stream stream);

}  // namespace yolo::ops::cuda
