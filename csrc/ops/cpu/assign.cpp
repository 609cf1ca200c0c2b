#include "ops/assign.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace yolo::ops {
namespace {

constexpr float kReach = 0.5f;  // a neighbour whose border is nearer than this answers too, in cells
constexpr float kMaxClass = 16777216.0f;

struct Target {
    int32_t image, cls;
    float x, y, w, h;            // in cells
    bool given[kAssignOffsets];  // to the own cell, left, top, right, bottom
};

struct Offset {
    float x, y;
};
constexpr Offset kOffsets[kAssignOffsets] = {{0, 0}, {kReach, 0}, {0, kReach}, {-kReach, 0}, {0, -kReach}};

bool near_border(float coordinate) {
    return coordinate - std::floor(coordinate) < kReach && coordinate > 1.0f;
}

// Clamped before it becomes an integer: a coordinate far outside the grid would not fit one.
int32_t cell(float coordinate, int64_t cells) {
    return static_cast<int32_t>(std::clamp(std::floor(coordinate), 0.0f, static_cast<float>(cells - 1)));
}

// Padding, damaged rows and boxes without area match nothing.
bool usable(const float* label) {
    for (int i = 0; i < 5; ++i) {
        if (!std::isfinite(label[i])) return false;
    }
    return label[0] >= 0 && label[0] < kMaxClass && label[3] > 0 && label[4] > 0;
}

std::vector<Target> targets_in_cells(const Labels& labels, const Level& level) {
    const float width = static_cast<float>(level.width), height = static_cast<float>(level.height);
    std::vector<Target> targets;
    for (int64_t image = 0; image < labels.images; ++image) {
        for (int64_t i = 0; i < labels.counts[image]; ++i) {
            const float* label = labels.rows + (image * labels.capacity + i) * 5;
            if (!usable(label)) continue;
            const float x = label[1] * width, y = label[2] * height;
            targets.push_back(
                {static_cast<int32_t>(image),
                 static_cast<int32_t>(label[0]),
                 x,
                 y,
                 label[3] * width,
                 label[4] * height,
                 {true, near_border(x), near_border(y), near_border(width - x), near_border(height - y)}});
        }
    }
    return targets;
}

bool fits(const Target& target, const float* anchor, float anchor_t) {
    const float w = target.w / anchor[0], h = target.h / anchor[1];
    return std::max(w, 1 / w) < anchor_t && std::max(h, 1 / h) < anchor_t;
}

}  // namespace

int64_t assign_level(const Labels& labels, const Level& level, float anchor_t, const Matches& out) {
    const std::vector<Target> targets = targets_in_cells(labels, level);
    int64_t count = 0;
    for (int64_t o = 0; o < kAssignOffsets; ++o) {
        for (int64_t a = 0; a < level.anchors; ++a) {
            for (const Target& target : targets) {
                if (!target.given[o] || !fits(target, level.anchor_sizes + 2 * a, anchor_t)) continue;
                const int32_t column = cell(target.x - kOffsets[o].x, level.width);
                const int32_t row = cell(target.y - kOffsets[o].y, level.height);
                out.image[count] = target.image;
                out.anchor[count] = static_cast<int32_t>(a);
                out.row[count] = row;
                out.column[count] = column;
                out.classes[count] = target.cls;
                const float box[4] = {target.x - column, target.y - row, target.w, target.h};
                std::copy(box, box + 4, out.boxes + 4 * count);
                ++count;
            }
        }
    }
    return count;
}

}  // namespace yolo::ops
