// Resizing part of an image to whole pixels of the resized one, as OpenCV's resize makes them.
#pragma once

#include <cstdint>
#include <vector>

#include "render/kernels/kernels.h"
#include "render/sample.h"

namespace yolo::render {

enum class Method { none, linear, area };

// Of an image of size `from` that becomes `to`: what `fit` says, and linear halves both sides exactly by area too
// (OpenCV).
Method method_of(const Size& from, const Size& to, Fit fit);

// Places in an image, in pixels.
struct Extent {
    double x = 0, y = 0, width = 0, height = 0;
    static Extent of(const Size& size) { return {0, 0, static_cast<double>(size.width), static_cast<double>(size.height)}; }
};

// An image of a size, of which `extent` becomes the resized one: all of it, or, linearly, nearly all.
struct Source {
    Source(const Size& whole) : Source(whole, Extent::of(whole)) {}
    Source(const Size& whole, const Extent& part) : size(whole), extent(part) {}
    Size size;
    Extent extent;
};

// The pixels of the image that `wanted` pixels of the resized one are made of.
Rect source_of(const Source& from, const Size& to, const Rect& wanted, Method method);

// A pixel of the source, the one that it goes into, and which part of that it makes.
struct Share {
    int64_t from, to;
    float part;
};

// What a resizing needs room for; kept from one to the next.
struct ResizeRoom {
    std::vector<Taps> taps;
    std::vector<int32_t> rows[2];
    std::vector<Share> across, down;
    std::vector<float> sums, line;
};

// Writes the pixels `wanted` of the resized image to `out`, rows `out_row` bytes apart. `source`: the pixels
// source_of(...) of the image, `channels` bytes each, whose memory goes on for 8 bytes behind the last one.
void resize(const Pixels& source, const Source& from, const Size& to, const Rect& wanted, Method method,
            int64_t channels, ResizeRoom& room, uint8_t* out, int64_t out_row);

}  // namespace yolo::render
