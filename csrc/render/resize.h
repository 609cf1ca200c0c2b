// Resizing part of an image to whole pixels of the resized one, as OpenCV's resize makes them.
#pragma once

#include <cstdint>
#include <vector>

#include "render/kernels/kernels.h"
#include "render/sample.h"

namespace yolo::render {

enum class Method { none, linear, area };

// Of an image of size `from` that becomes `to` (YOLOv5): by area where one that is not to be augmented shrinks, else
// linear, which halves both sides exactly by area too (OpenCV).
Method method_of(const Size& from, const Size& to, bool augmented);

// The pixels of the image that `wanted` pixels of the resized one are made of.
Rect source_of(const Size& from, const Size& to, const Rect& wanted, Method method);

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
void resize(const Pixels& source, const Size& from, const Size& to, const Rect& wanted, Method method, int64_t channels,
            ResizeRoom& room, uint8_t* out, int64_t out_row);

}  // namespace yolo::render
