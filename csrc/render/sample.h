// What a renderer is asked for: the plans of yolo.data.plan as plain data.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace yolo::render {

constexpr uint8_t kGrey = 114;  // what no image covers
constexpr int64_t kChannels = 3;

struct Size {
    int64_t height = 0, width = 0;
    bool operator==(const Size& other) const { return height == other.height && width == other.width; }
    bool operator!=(const Size& other) const { return !(*this == other); }
};

// Pixels from (x0, y0) up to and without (x1, y1).
struct Rect {
    int64_t x0 = 0, y0 = 0, x1 = 0, y1 = 0;
    int64_t width() const { return x1 - x0; }
    int64_t height() const { return y1 - y0; }
    bool empty() const { return x1 <= x0 || y1 <= y0; }
    Rect moved(int64_t x, int64_t y) const { return {x0 + x, y0 + y, x1 + x, y1 + y}; }
    Rect within(const Rect& other) const {
        return {std::max(x0, other.x0), std::max(y0, other.y0), std::min(x1, other.x1), std::min(y1, other.y1)};
    }
    static Rect of(const Size& size) { return {0, 0, size.width, size.height}; }
};

// RGB pixels, three bytes each; `row` is the bytes from one row to the next.
struct Pixels {
    const uint8_t* data = nullptr;
    int64_t row = 0;
};

// The bytes of a file, which are somebody else's.
struct Bytes {
    const uint8_t* data = nullptr;
    size_t size = 0;
};

// How an image becomes the size that is wanted. A JPEG file that becomes half as large or less is decoded at a half, a
// quarter or an eighth of its size, but for `area`.
enum class Fit {
    area,       // by area where it shrinks, else linearly: YOLOv5's validation
    augmented,  // linearly, as if a smaller decoding were the image
    placed,     // linearly, every pixel where it lies in the image: a smaller decoding stands for up to 7 more at its end
};

// One image, resized to `resized`, whose upper left corner lies at (x, y) of the canvas. `kept`: its pixels, resized
// already, without gaps; else `content`, the bytes of its file; else the file at `path` is read.
struct Tile {
    std::string path;
    Bytes content;
    const uint8_t* kept = nullptr;
    Size resized;
    int64_t x = 0, y = 0;
    Rect place() const { return Rect::of(resized).moved(x, y); }
};

// A grey canvas with tiles on it; where `pasted` (one byte a pixel of the canvas) is not 0, the pixel of the canvas
// mirrored left-right; then `matrix`, row by row, from the canvas to the result.
struct View {
    Size canvas, size;
    std::vector<Tile> tiles;
    const uint8_t* pasted = nullptr;
    std::optional<std::array<double, 9>> matrix;
};

// Factors for hue, saturation and value, 0 or more.
using Gains = std::array<float, 3>;

// One sample: its views, blended, in other colours, flipped, resized to `out` and written to three planes.
struct Sample {
    std::vector<View> views;
    double share = 1;  // of the first view
    std::optional<Gains> gains;
    bool flip_vertical = false, flip_horizontal = false;
    Fit fit = Fit::area;
    Size size, out;
    uint8_t* planes = nullptr;
    int64_t plane = 0, row = 0;  // bytes from one plane, and one row, to the next
};

}  // namespace yolo::render
