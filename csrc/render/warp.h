// From a canvas to the view's result: where each pixel comes from, in OpenCV's fixed-point numbers.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "render/sample.h"

namespace yolo::render {

// The way back through a view's matrix.
class Warp {
public:
    // Places are counted from `origin` of the canvas on: where the pixels begin that they are taken of.
    Warp(const std::array<double, 9>& matrix, const Size& size);

    // What of the canvas may be seen.
    Rect seen(const Size& canvas) const;
    // Where the pixels of row y come from, from (x0, y0) of the canvas on: `size.width` places in 1/32 pixel.
    void row(int64_t y, int64_t x0, int64_t y0, int32_t* xs, int32_t* ys) const;

private:
    void affine_row(int64_t y, int32_t left, int32_t top, int32_t* xs, int32_t* ys) const;
    void perspective_row(int64_t y, int32_t left, int32_t top, int32_t* xs, int32_t* ys) const;

    std::array<double, 9> back_;
    Size size_;
    bool affine_;
    std::vector<int32_t> steps_x_, steps_y_;
};

}  // namespace yolo::render
