// Which pixels resampling brings together, along one axis.
#pragma once

#include "cuda/words.h"
#include "program/cuda/resample.h"

namespace yolo::program::cuda {

// Where a window lies inside of the map: places `begin` to `end` of the kernel, at `origin` + place.
struct Reach {
    int origin, begin, end;
};

YOLO_DEVICE Reach reach(int out, int side, const Window& w) {
    const int origin = out * w.stride - w.padding;
    return {origin, origin < 0 ? -origin : 0, origin + w.kernel > side ? side - origin : w.kernel};
}

// The windows that a pixel lies in: `begin` to `end`.
struct Touching {
    int begin, end;
};

YOLO_DEVICE Touching touching(int at, int windows, const Window& w) {
    const int first = at + w.padding - w.kernel + 1, last = (at + w.padding) / w.stride;
    return {first <= 0 ? 0 : (first + w.stride - 1) / w.stride, last < windows ? last + 1 : windows};
}

// The two pixels, and the share of the second, of which one is made by bilinear upsampling.
struct Blend {
    int low, high;
    float share;
};

YOLO_DEVICE Blend blend(int out, int side, int scale) {
    const float at = (static_cast<float>(out) + 0.5f) / static_cast<float>(scale) - 0.5f;
    if (at <= 0.0f) return {0, 0, 0.0f};
    const int low = static_cast<int>(at);
    return {low, low + 1 < side ? low + 1 : side - 1, at - static_cast<float>(low)};
}

}  // namespace yolo::program::cuda
