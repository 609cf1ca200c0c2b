// YOLOv5's rule by which a label is given to cells, one label at a time, for every kind of processor.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/words.h"
#include "ops/exact.h"
#include "ops/loss.h"

namespace yolo::ops {

constexpr int64_t kAssignOffsets = 5;  // own cell, left, top, right, bottom
constexpr float kReach = 0.5f;  // a neighbour whose border is nearer than this answers too, in cells
constexpr float kMaxClass = 16777216.0f;
constexpr float kFarthest = 1e6f;  // images
constexpr float kGreatest = 3.402823466e38f;  // of all finite numbers

struct Target {
    int32_t cls;
    float x, y, w, h;  // in cells
    uint32_t given;    // a bit each: to the own cell, left, top, right, bottom

    YOLO_DEVICE bool given_to(int64_t offset) const { return (given >> offset & 1u) != 0; }
};

// From a target to a place in the cell that it is given to.
YOLO_DEVICE float offset_x(int64_t offset) {
    return offset == 1 ? kReach : offset == 3 ? -kReach : 0.0f;
}

YOLO_DEVICE float offset_y(int64_t offset) {
    return offset == 2 ? kReach : offset == 4 ? -kReach : 0.0f;
}

YOLO_DEVICE bool near_border(float coordinate) {
    return coordinate - floorf(coordinate) < kReach && coordinate > 1.0f;
}

// Clamped before it becomes an integer: a coordinate far outside the grid would not fit one.
YOLO_DEVICE int32_t nearest(float coordinate, int64_t cells) {
    const float whole = floorf(coordinate), last = static_cast<float>(cells - 1);
    return static_cast<int32_t>(whole < 0.0f ? 0.0f : last < whole ? last : whole);
}

// Padding, damaged rows, boxes without area and centres a million images away (whose squares would overflow) match
// nothing.
YOLO_DEVICE bool usable(const float* label) {
    for (int i = 0; i < 5; ++i) {
        if (!(fabsf(label[i]) <= kGreatest)) return false;
    }
    const bool near = fabsf(label[1]) < kFarthest && fabsf(label[2]) < kFarthest;
    return near && label[0] >= 0 && label[0] < kMaxClass && label[3] > 0 && label[4] > 0;
}

// A usable label (class, x, y, w, h; normalised) as a target of a level.
YOLO_DEVICE Target target_of(const float* label, const Level& level) {
    const float width = static_cast<float>(level.width), height = static_cast<float>(level.height);
    const float x = product(label[1], width), y = product(label[2], height);
    const bool given[kAssignOffsets] = {true, near_border(x), near_border(y), near_border(width - x),
                                        near_border(height - y)};
    uint32_t bits = 0;
    for (int i = 0; i < kAssignOffsets; ++i) bits |= static_cast<uint32_t>(given[i]) << i;
    return {static_cast<int32_t>(label[0]), x, y, product(label[3], width), product(label[4], height), bits};
}

struct Cell {
    int32_t column, row;
};

// The cell that a target is given to by an offset.
YOLO_DEVICE Cell cell_of(const Target& target, int64_t offset, const Level& level) {
    return {nearest(target.x - offset_x(offset), level.width), nearest(target.y - offset_y(offset), level.height)};
}

// anchor: w, h in cells.
YOLO_DEVICE bool fits(const Target& target, const float* anchor, float anchor_t) {
    const float w = target.w / anchor[0], h = target.h / anchor[1];
    const float wider = 1 / w, higher = 1 / h;
    return (w < wider ? wider : w) < anchor_t && (h < higher ? higher : h) < anchor_t;
}

// Matches of a usable label with a level's anchors.
YOLO_DEVICE int32_t matches_of(const Target& target, const Level& level, float anchor_t) {
    int32_t cells = 0, fitting = 0;
    for (int64_t o = 0; o < kAssignOffsets; ++o) cells += target.given_to(o);
    for (int64_t a = 0; a < level.anchors; ++a) fitting += fits(target, level.anchor_sizes + 2 * a, anchor_t);
    return cells * fitting;
}

}  // namespace yolo::ops
