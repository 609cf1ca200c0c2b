// YOLOv5's target assignment on a device. Labels, counts and anchor sizes lie there; see ops/loss.h for the rule. An
// *item* is one image's cells of one anchor of a level: items of one level follow those of another, image after image.
#pragma once

#include <cstdint>

#include "cuda/device.h"
#include "cuda/words.h"
#include "ops/cuda/scratch.h"
#include "ops/loss.h"

namespace yolo::ops::cuda {

constexpr int64_t kMostLevels = 8;

// The levels of a batch and how their items are numbered, as kernels take them.
struct Items {
    Level levels[kMostLevels];
    int64_t first[kMostLevels + 1];  // item of each level, and behind the last
    int64_t count;                   // levels

    // Raises std::invalid_argument for more than kMostLevels.
    Items(const Level* all, int64_t count, int64_t images);

    int64_t total() const { return first[count]; }
    YOLO_DEVICE int64_t level_of(int64_t item) const {
        int64_t level = 0;
        while (level + 1 < count && item >= first[level + 1]) ++level;
        return level;
    }
    YOLO_DEVICE int64_t image_of(int64_t item, int64_t level) const {
        return (item - first[level]) / levels[level].anchors;
    }
    YOLO_DEVICE const float* anchor_of(int64_t item, int64_t level) const {
        return levels[level].anchor_sizes + (item - first[level]) % levels[level].anchors * 2;
    }
};

// The matches of each item in YOLOv5's order of writing: own cell, left, top, right, bottom, then by label.
struct MatchLists {
    int32_t* counts;    // [items]
    int32_t* cells;     // [items, room]: row * width + column
    int32_t* labels;    // [items, room]: the label's place in its image
    int32_t* previous;  // [items, room]: the last match before it in the same cell, or -1
    int32_t* followed;  // [items, room]: 1 where the cell has a later match
    int64_t room;       // of an item
};

// Lists of so many items, for images of so many labels.
MatchLists match_lists(Scratch& scratch, int64_t items, int64_t places);

// Writes the lists of all items; counts outside 0 to labels.capacity are taken for the nearer of both.
void assign(const Labels& labels, const Items& items, double anchor_t, const MatchLists& lists,
            yolo::cuda::Stream stream);

// Matches a level, [levels], as ops::count_matches gives them.
void count_matches(const Labels& labels, const Items& items, double anchor_t, double* matches,
                   yolo::cuda::Stream stream);

}  // namespace yolo::ops::cuda
