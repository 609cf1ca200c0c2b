// What the kernels of a batch's loss share.
#pragma once

#include "ops/bce.h"
#include "ops/cuda/assign.h"
#include "ops/cuda/scratch.h"
#include "ops/loss_rules.h"

namespace yolo::ops::cuda {

constexpr int64_t kCellsPerBlock = 512;
constexpr int64_t kClassBlocks = 8;  // an item's

struct alignas(16) BoxSlopes {
    float values[4];
};

// A batch's arrays and numbers, as all kernels take them.
struct Batch {
    Labels labels;
    Items items;
    const float* heads[kMostLevels];
    float* gradients[kMostLevels];
    int64_t cells[kMostLevels];            // of an item
    int64_t blocks[kMostLevels];           // of an item, where each takes kCellsPerBlock of its cells
    int64_t first_cell[kMostLevels + 1];   // of each level in `overlaps`
    int64_t first_block[kMostLevels + 1];  // of each level
    double balance[kMostLevels];
    Gains gains;
    BceForm objectness, classification;
    float negative, positive;  // what a class is to be
    int64_t classes, parts;
    const double* matches;  // [levels], in the whole batch
    const float* slope_scale;

    MatchLists lists;
    BoxSlopes* slopes;    // [items, room]: d loss / d raw box
    float* overlaps;      // [cells of all items]: objectness that a cell is to have
    double* box_sums;     // [items]
    double* object_sums;  // [blocks]
    double* class_sums;   // [items, kClassBlocks]

    Batch(const Labels& labels, const LossLevel* levels, int64_t count, int64_t classes);
    // Gives its arrays their places in the scratch, and one more to the matches of this part, [levels].
    double* lay_out(Scratch& scratch);
    void settle(const LossSettings& settings, const Whole& whole, const float* factor, const double* own_matches);

    // Numbers of a level's head before this item's.
    YOLO_DEVICE int64_t start(int64_t item, int64_t level) const {
        return (item - items.first[level]) * (5 + classes) * cells[level];
    }
    YOLO_DEVICE float* overlaps_of(int64_t item, int64_t level) const {
        return overlaps + first_cell[level] + (item - items.first[level]) * cells[level];
    }
    YOLO_DEVICE Scales scales(int64_t level) const {
        const double images = static_cast<double>(labels.images * parts);
        const Scales plain = scales_of(gains, balance[level], items.levels[level], matches[level], images, classes);
        const float factor = slope_scale == nullptr ? 1.0f : *slope_scale;
        return {plain.box * factor, plain.obj * factor, plain.cls * factor};
    }
};

inline Items items_of(const LossLevel* levels, int64_t count, int64_t images) {
    Level grids[kMostLevels] = {};
    for (int64_t i = 0; i < count && i < kMostLevels; ++i) grids[i] = levels[i].grid;
    return Items(grids, count, images);
}

inline Batch::Batch(const Labels& labels, const LossLevel* levels, int64_t count, int64_t classes)
    : labels(labels), items(items_of(levels, count, labels.images)), first_cell{0}, first_block{0}, classes(classes) {
    for (int64_t i = 0; i < count; ++i) {
        const int64_t in_level = items.first[i + 1] - items.first[i];
        heads[i] = levels[i].head;
        gradients[i] = levels[i].gradient;
        cells[i] = levels[i].grid.height * levels[i].grid.width;
        blocks[i] = (cells[i] + kCellsPerBlock - 1) / kCellsPerBlock;
        first_cell[i + 1] = first_cell[i] + in_level * cells[i];
        first_block[i + 1] = first_block[i] + in_level * blocks[i];
    }
}

inline double* Batch::lay_out(Scratch& scratch) {
    const int64_t all = items.total();
    lists = match_lists(scratch, all, labels.capacity);
    slopes = scratch.take<BoxSlopes>(all * lists.room);
    overlaps = scratch.take<float>(first_cell[items.count]);
    box_sums = scratch.take<double>(all);
    object_sums = scratch.take<double>(first_block[items.count]);
    class_sums = scratch.take<double>(all * kClassBlocks);
    return scratch.take<double>(items.count);
}

inline void Batch::settle(const LossSettings& settings, const Whole& whole, const float* factor,
                          const double* own_matches) {
    const auto form = [&](double weight) {
        return BceForm{static_cast<float>(weight), static_cast<float>(settings.fl_gamma)};
    };
    for (int64_t i = 0; i < items.count; ++i) balance[i] = settings.balance[static_cast<size_t>(i)];
    gains = gains_of(settings);
    objectness = form(settings.obj_pw);
    classification = form(settings.cls_pw);
    negative = static_cast<float>(0.5 * settings.label_smoothing);
    positive = static_cast<float>(1 - 0.5 * settings.label_smoothing);
    parts = whole.parts;
    matches = whole.matches == nullptr ? own_matches : whole.matches;
    slope_scale = factor;
}

}  // namespace yolo::ops::cuda
