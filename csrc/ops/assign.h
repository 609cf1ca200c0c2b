// Which cells of a detection level answer for which target, and what box they shall predict.
#pragma once

#include <cstdint>

namespace yolo::ops {

constexpr int64_t kAssignOffsets = 5;  // own cell, left, top, right, bottom

// The padded labels of a batch: images x capacity x 5 (class, x, y, w, h; normalised), counts[image] of them
// real.
struct Labels {
    const float* rows;
    const int32_t* counts;
    int64_t images, capacity;
};

// One level: its anchors (anchors x 2: w, h in cells) and grid.
struct Level {
    const float* anchor_sizes;
    int64_t anchors, height, width;
};

// Caller's arrays, room for assign_capacity() matches each; boxes: x, y offset in the cell, w, h, in cells.
struct Matches {
    int32_t *image, *anchor, *row, *column, *classes;
    float* boxes;
};

inline int64_t assign_capacity(const Labels& labels, const Level& level) {
    return kAssignOffsets * level.anchors * labels.images * labels.capacity;
}

// Writes the matches in the order offset, anchor, image, label and returns how many there are.
int64_t assign_level(const Labels& labels, const Level& level, float anchor_t, const Matches& out);

}  // namespace yolo::ops
