#include "ops/assign.h"

#include <algorithm>
#include <vector>

#include "ops/cpu/assign_rules.h"

namespace yolo::ops {
namespace {

std::vector<Target> targets_in_cells(const Labels& labels, const Level& level) {
    std::vector<Target> targets;
    for (int64_t image = 0; image < labels.images; ++image) {
        for (int64_t i = 0; i < labels.counts[image]; ++i) {
            const float* label = labels.rows + (image * labels.capacity + i) * 5;
            if (usable(label)) targets.push_back(target_of(label, image, level));
        }
    }
    return targets;
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
