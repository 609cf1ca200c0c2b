// YOLOv5's rule by which a label is given to cells, one label at a time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "ops/loss.h"

namespace yolo::ops {

constexpr int64_t kAssignOffsets = 5;  // own cell, left, top, right, bottom
constexpr float kReach = 0.5f;  // a neighbour whose border is nearer than this answers too, in cells
constexpr float kMaxClass = 16777216.0f;
constexpr float kFarthest = 1e6f;  // images

struct Target {
    int32_t image, cls;
    float x, y, w, h;            // in cells
    bool given[kAssignOffsets];  // to the own cell, left, top, right, bottom
};

struct Offset {
    float x, y;
};
constexpr Offset kOffsets[kAssignOffsets] = {{0, 0}, {kReach, 0}, {0, kReach}, {-kReach, 0}, {0, -kReach}};

inline bool near_border(float coordinate) {
    return coordinate - std::floor(coordinate) < kReach && coordinate > 1.0f;
}

// Clamped before it becomes an integer: a coordinate far outside the grid would not fit one.
inline int32_t cell(float coordinate, int64_t cells) {
    return static_cast<int32_t>(std::clamp(std::floor(coordinate), 0.0f, static_cast<float>(cells - 1)));
}

// Padding, damaged rows, boxes without area and centres a million images away (whose squares would overflow) match
// nothing.
inline bool usable(const float* label) {
    for (int i = 0; i < 5; ++i) {
        if (!std::isfinite(label[i])) return false;
    }
    const bool near = std::abs(label[1]) < kFarthest && std::abs(label[2]) < kFarthest;
    return near && label[0] >= 0 && label[0] < kMaxClass && label[3] > 0 && label[4] > 0;
}

// A usable label (class, x, y, w, h; normalised) as a target of a level.
inline Target target_of(const float* label, int64_t image, const Level& level) {
    const float width = static_cast<float>(level.width), height = static_cast<float>(level.height);
    const float x = label[1] * width, y = label[2] * height;
    return {static_cast<int32_t>(image),
            static_cast<int32_t>(label[0]),
            x,
            y,
            label[3] * width,
            label[4] * height,
            {true, near_border(x), near_border(y), near_border(width - x), near_border(height - y)}};
}

// anchor: w, h in cells.
inline bool fits(const Target& target, const float* anchor, float anchor_t) {
    const float w = target.w / anchor[0], h = target.h / anchor[1];
    return std::max(w, 1 / w) < anchor_t && std::max(h, 1 / h) < anchor_t;
}

}  // namespace yolo::ops
