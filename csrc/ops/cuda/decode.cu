#include "ops/cuda/decode.h"

#include <cmath>
#include <stdexcept>

#include "ops/cuda/candidates.h"

namespace yolo::ops::cuda {
namespace {

using namespace yolo::cuda;

// On a GPU in double precision, so that it is the CPU's number but for a rare last bit: only few are computed.
YOLO_DEVICE float sigmoid(float x) {
#ifdef __CUDA_ARCH__
    return 1.0f / (1.0f + static_cast<float>(exp(-static_cast<double>(x))));
#else
    return 1.0f / (1.0f + expf(-x));
#endif
}

YOLO_DEVICE Box corners(float x, float y, float w, float h) {
    return {x - w / 2, y - h / 2, x + w / 2, y + h / 2};
}

// What one anchor of a level says: 5 + classes planes of its cells.
struct Plane {
    const float* data;   // of the first image
    int64_t image_step;  // numbers from an image to the next
    uint32_t first_row, cells, width;
    float stride, anchor_width, anchor_height, scale, mirror;
};

// Raw heads. More planes than a kernel may be given go in groups.
struct Heads {
    static constexpr int kMostPlanes = 32;
    int64_t rows, first_row;
    float threshold;  // a raw number up to this is after the sigmoid not above the wanted confidence
    int count;
    Plane planes[kMostPlanes];

    // The plane by its number: a kernel's arguments have no address without being copied.
    struct Spot {
        const float* at;
        int plane;
        uint32_t cells, cell;
    };

    YOLO_DEVICE Spot spot(int64_t image, int64_t row) const {
        int i = 0;
        while (i + 1 < count && row >= planes[i + 1].first_row) ++i;
        const auto cell = static_cast<uint32_t>(row) - planes[i].first_row;
        return {planes[i].data + image * planes[i].image_step + cell, i, planes[i].cells, cell};
    }
    YOLO_DEVICE static float raw(const Spot& spot, int64_t column) { return spot.at[column * spot.cells]; }
    YOLO_DEVICE float likely(float number) const { return number > threshold ? sigmoid(number) : 0.0f; }
    YOLO_DEVICE float objectness(const Spot& spot) const { return likely(raw(spot, 4)); }
    // No objectness is above 1, so that an unlikely class stays one.
    YOLO_DEVICE float score(const Spot& spot, int64_t c) const { return likely(raw(spot, 5 + c)); }
    YOLO_DEVICE Box box(const Spot& spot) const {
        const Plane plane = planes[spot.plane];
        float t[4];
        for (int i = 0; i < 4; ++i) t[i] = sigmoid(raw(spot, i));
        const auto column = static_cast<float>(spot.cell % plane.width);
        const auto row = static_cast<float>(spot.cell / plane.width);
        float x = product(t[0], 2.0f * plane.stride) + product(column - 0.5f, plane.stride);
        float y = product(t[1], 2.0f * plane.stride) + product(row - 0.5f, plane.stride);
        float w = product(product(t[2], t[2]), 4.0f * plane.anchor_width);
        float h = product(product(t[3], t[3]), 4.0f * plane.anchor_height);
        if (plane.scale != 1.0f) {
            x /= plane.scale;
            y /= plane.scale;
            w /= plane.scale;
            h /= plane.scale;
        }
        if (plane.mirror > 0.0f) x = plane.mirror - x;
        return corners(x, y, w, h);
    }
};

// Boxes that are known: sure of their class.
struct Known {
    int64_t rows, first_row, classes;
    const float* boxes;
    const int32_t* counts;

    YOLO_DEVICE const float* spot(int64_t image, int64_t row) const {
        return row < counts[image] ? boxes + (image * rows + row) * 5 : nullptr;
    }
    YOLO_DEVICE float objectness(const float* box) const {
        return box != nullptr && box[0] > -1.0f && box[0] < static_cast<float>(classes) ? 1.0f : 0.0f;
    }
    YOLO_DEVICE float score(const float* box, int64_t c) const {
        return static_cast<int64_t>(box[0]) == c ? 1.0f : 0.0f;
    }
    YOLO_DEVICE Box box(const float* box) const {
        return box == nullptr ? Box{} : corners(box[1], box[2], box[3], box[4]);
    }
};

// The planes of all levels in groups, for images from 0 on.
std::vector<Heads> heads_of(const NmsProblem& problem, const std::vector<HeadLevel>& levels) {
    std::vector<Heads> groups;
    int64_t first_row = 0;
    for (const HeadLevel& level : levels) {
        const int64_t cells = level.height * level.width, numbers = (5 + problem.classes) * cells;
        const auto anchors = static_cast<int64_t>(level.anchors.size() / 2);
        for (int64_t anchor = 0; anchor < anchors; ++anchor, first_row += cells) {
            if (groups.empty() || groups.back().count == Heads::kMostPlanes) {
                groups.push_back({0, first_row, raw_threshold(problem.settings.conf), 0, {}});
            }
            Heads& group = groups.back();
            const float* const size = level.anchors.data() + 2 * anchor;
            group.planes[group.count++] = {level.head + anchor * numbers, anchors * numbers,
                                           static_cast<uint32_t>(group.rows), static_cast<uint32_t>(cells),
                                           static_cast<uint32_t>(level.width), level.stride, size[0], size[1],
                                           level.scale, level.mirror};
            group.rows += cells;
        }
    }
    return groups;
}

}  // namespace

int64_t rows_of(const std::vector<HeadLevel>& levels, const KnownBoxes& known) {
    int64_t rows = known.places;
    for (const HeadLevel& level : levels) {
        if (level.height < 1 || level.width < 1 || level.anchors.empty() || level.anchors.size() % 2 != 0) {
            throw std::invalid_argument("a level without cells or anchors");
        }
        rows += level.rows();
    }
    return rows;
}

void detect(const NmsProblem& problem, const std::vector<HeadLevel>& levels, const KnownBoxes& known, float* detections,
            int32_t* counts, void* scratch, Stream stream) {
    if (problem.rows != rows_of(levels, known)) throw std::invalid_argument("heads of another number of predictions");
    problem.check();
    const std::vector<Heads> groups = heads_of(problem, levels);
    const auto sources = [&](int64_t first, const auto& action) {
        for (Heads group : groups) {
            for (int i = 0; i < group.count; ++i) group.planes[i].data += first * group.planes[i].image_step;
            action(group);
        }
        if (known.places == 0) return;
        action(Known{known.places, problem.rows - known.places, problem.classes,
                     known.boxes + first * known.places * 5, known.counts + first});
    };
    detect_in(problem, sources, detections, counts, scratch, stream);
}

}  // namespace yolo::ops::cuda
