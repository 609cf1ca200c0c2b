#include "ops/cuda/letterbox.h"

#include <cmath>
#include <stdexcept>

#include "cuda/kernel.h"
#include "ops/exact.h"

namespace yolo::ops::cuda {
namespace {

using namespace yolo::cuda;

constexpr uint8_t kGrey = 114;
constexpr int kWeights = 2048;  // two neighbours' weights add up to so much
constexpr int kRun = 4;         // pixels of a row that a thread writes at once

// The first of the two pixels of which one is made, -1 to size - 1, and the weights of both.
struct Taps {
    int32_t first, weights[2];
};

YOLO_DEVICE int32_t weight(float share) {
    return static_cast<int32_t>(rintf(share * static_cast<float>(kWeights)));
}

YOLO_DEVICE Taps taps(int32_t at, double scale) {
    const float place = static_cast<float>(product(static_cast<double>(at) + 0.5, scale) - 0.5);
    const float first = floorf(place), share = place - first;
    return {static_cast<int32_t>(first), {weight(1.0f - share), weight(share)}};
}

YOLO_DEVICE int32_t within(int32_t at, int32_t size) {
    return at < 0 ? 0 : at < size ? at : size - 1;
}

struct Colour {
    uint8_t channels[3];
};

// One resized row of an image.
struct Row {
    const LetterboxImage* image;
    const uint8_t *upper, *lower;
    Taps down;
    bool same, halved;

    YOLO_DEVICE Row(const LetterboxImage& of, int32_t y) : image(&of), down{} {
        same = of.height == of.resized_height && of.width == of.resized_width;
        halved = of.height == 2 * of.resized_height && of.width == 2 * of.resized_width;
        int32_t first = halved ? 2 * y : y, second = first + 1;
        if (!same && !halved) {
            down = taps(y, of.down);
            first = within(down.first, of.height);
            second = within(down.first + 1, of.height);
        }
        upper = of.pixels + first * of.row;
        lower = of.pixels + second * of.row;
    }

    YOLO_DEVICE Colour at(int32_t x) const {
        if (same) return {{upper[3 * x], upper[3 * x + 1], upper[3 * x + 2]}};
        if (halved) return half(6 * x);
        const Taps over = taps(x, image->across);
        const bool beyond = over.first < 0 || over.first >= image->width - 1;
        const int32_t left = within(over.first, image->width);
        const int32_t near = beyond ? kWeights : over.weights[0], far = beyond ? 0 : over.weights[1];
        return linear(3 * left, 3 * within(left + 1, image->width), near, far);
    }

private:
    // The mean of four pixels: what OpenCV makes of a linear resizing to the half.
    YOLO_DEVICE Colour half(int32_t at) const {
        Colour colour;
        for (int c = 0; c < 3; ++c) {
            const int32_t sum = upper[at + c] + upper[at + 3 + c] + lower[at + c] + lower[at + 3 + c];
            colour.channels[c] = static_cast<uint8_t>((sum + 2) >> 2);
        }
        return colour;
    }

    YOLO_DEVICE Colour linear(int32_t left, int32_t right, int32_t near, int32_t far) const {
        Colour colour;
        for (int c = 0; c < 3; ++c) {
            const int32_t above = upper[left + c] * near + upper[right + c] * far;
            const int32_t below = lower[left + c] * near + lower[right + c] * far;
            const int32_t sum = (down.weights[0] * (above >> 4) >> 16) + (down.weights[1] * (below >> 4) >> 16);
            colour.channels[c] = static_cast<uint8_t>((sum + 2) >> 2);
        }
        return colour;
    }
};

// The colours of a run of pixels of a result, as many as there are.
struct Run {
    Colour colours[kRun];

    YOLO_DEVICE Run(const LetterboxImage& image, int32_t y, int32_t x, bool swapped) {
        const int32_t row = y - image.top;
        const bool inside = row >= 0 && row < image.resized_height;
        const Row source(image, inside ? row : 0);
        for (int k = 0; k < kRun; ++k) {
            const int32_t column = x + k - image.left;
            Colour colour = {{kGrey, kGrey, kGrey}};
            if (inside && column >= 0 && column < image.resized_width) colour = source.at(column);
            colours[k] = swapped ? Colour{{colour.channels[2], colour.channels[1], colour.channels[0]}} : colour;
        }
    }
};

// Where the runs of all results begin.
struct Grid {
    uint32_t height, width, runs;

    Grid(int64_t height, int64_t width)
        : height(static_cast<uint32_t>(height)), width(static_cast<uint32_t>(width)),
          runs((this->width + kRun - 1) / kRun) {}
    int64_t count(int64_t images) const { return images * height * runs; }
    YOLO_DEVICE void find(int64_t i, uint32_t& image, uint32_t& y, uint32_t& x) const {
        const uint32_t line = static_cast<uint32_t>(i) / runs;
        x = (static_cast<uint32_t>(i) - line * runs) * kRun;
        image = line / height;
        y = line - image * height;
    }
};

struct ToPlanes {
    const LetterboxImage* table;
    Grid grid;
    bool swapped;
    uint8_t* planes;

    YOLO_DEVICE void operator()(int64_t i) const {
        uint32_t image, y, x;
        grid.find(i, image, y, x);
        const Run run(table[image], static_cast<int32_t>(y), static_cast<int32_t>(x), swapped);
        for (int c = 0; c < 3; ++c) {
            uint8_t* const to = planes + ((int64_t{image} * 3 + c) * grid.height + y) * grid.width + x;
            if (grid.width % kRun == 0) {
                uint32_t four = 0;
                for (int k = 0; k < kRun; ++k) four |= static_cast<uint32_t>(run.colours[k].channels[c]) << 8 * k;
                *reinterpret_cast<uint32_t*>(to) = four;
            } else {
                for (int k = 0; k < kRun; ++k) {
                    if (x + k < grid.width) to[k] = run.colours[k].channels[c];
                }
            }
        }
    }
};

template <class T>
struct ToMap {
    const LetterboxImage* table;
    Grid grid;
    bool swapped;
    Pixels<T> target;

    YOLO_DEVICE void operator()(int64_t i) const {
        uint32_t image, y, x;
        grid.find(i, image, y, x);
        const Run run(table[image], static_cast<int32_t>(y), static_cast<int32_t>(x), swapped);
        for (int k = 0; k < kRun; ++k) {
            Pack pack{};
            for (int c = 0; c < 3; ++c) pack.values[c] = static_cast<float>(run.colours[k].channels[c]) / 255.0f;
            if (x + k < grid.width) store<T>(target.at(image, y, x + k, 0), pack);
        }
    }
};

Grid grid_of(int64_t count, int64_t height, int64_t width) {
    constexpr int64_t kMost = int64_t{1} << 32;  // runs are numbered with 32 bits
    if (count < 0 || height < 1 || width < 1 || height * width > kMost || count * height * width > kMost) {
        throw std::invalid_argument("letterboxed images of a size that is none, or too large");
    }
    return {height, width};
}

}  // namespace

void letterbox(const LetterboxImage* table, int64_t count, int64_t height, int64_t width, bool swapped, uint8_t* planes,
               Stream stream) {
    const Grid grid = grid_of(count, height, width);
    each(stream, grid.count(count), ToPlanes{table, grid, swapped, planes});
}

void letterbox(const LetterboxImage* table, bool swapped, const Map& target, Stream stream) {
    const Grid grid = grid_of(target.images, target.height, target.width);
    if (target.channels != 3) throw std::invalid_argument("a letterboxed image has three channels");
    with_type(target.number, [&](auto number) {
        using T = decltype(number);
        each(stream, grid.count(target.images), ToMap<T>{table, grid, swapped, Pixels<T>(target)});
    });
}

}  // namespace yolo::ops::cuda
