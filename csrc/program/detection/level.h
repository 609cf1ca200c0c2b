// One scale of a detector's output.
#pragma once

#include <cstdint>
#include <vector>

namespace yolo::program {

// One level of the network's output.
struct Level {
    int64_t height, width;
    float stride;                // pixels a cell
    std::vector<float> anchors;  // width and height of each, pixels
    // Of the image that this level has seen, where it was not the one whose pixels are wanted: how much larger it
    // was, and, where it was mirrored, the wanted image's width.
    float scale = 1.0f;
    float mirror = 0.0f;

    // Of an image's raw head.
    int64_t channels(int64_t classes) const { return static_cast<int64_t>(anchors.size() / 2) * (5 + classes); }
    int64_t numbers(int64_t classes) const { return channels(classes) * height * width; }
};

}  // namespace yolo::program
