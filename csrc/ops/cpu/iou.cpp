#include "ops/iou.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/cpu/parallel.h"

namespace yolo::ops {
namespace {

constexpr float kEps = 1e-7f;
constexpr float kFourOverPiSquared = 0.405284734569351085f;
constexpr int64_t kPairsPerPiece = 1 << 15;

struct Box {
    float x1, y1, x2, y2, area, angle;
};

// One box set, a coordinate an array, so that a row of the result vectorises.
struct Boxes {
    std::vector<float> x1, y1, x2, y2, area, angle;

    Boxes(const float* boxes, int64_t n, bool angles) : x1(n), y1(n), x2(n), y2(n), area(n), angle(angles ? n : 0) {
        for (int64_t i = 0; i < n; ++i) {
            x1[i] = boxes[4 * i];
            y1[i] = boxes[4 * i + 1];
            x2[i] = boxes[4 * i + 2];
            y2[i] = boxes[4 * i + 3];
            const float w = x2[i] - x1[i], h = y2[i] - y1[i];
            area[i] = w * h;
            if (angles) angle[i] = std::atan(w / (h + kEps));
        }
    }

    Box operator[](int64_t i) const { return {x1[i], y1[i], x2[i], y2[i], area[i], angle.empty() ? 0.0f : angle[i]}; }
};

float square(float v) {
    return v * v;
}

template <IouKind kind>
float overlap(const Box& a, const Box& b) {
    const float inter = std::max(0.0f, std::min(a.x2, b.x2) - std::max(a.x1, b.x1)) *
                        std::max(0.0f, std::min(a.y2, b.y2) - std::max(a.y1, b.y1));
    const float area = a.area + b.area - inter + kEps;
    const float iou = inter / area;
    if (kind == IouKind::kIou) return iou;

    const float hull_w = std::max(a.x2, b.x2) - std::min(a.x1, b.x1);
    const float hull_h = std::max(a.y2, b.y2) - std::min(a.y1, b.y1);
    if (kind == IouKind::kGiou) {
        const float hull = hull_w * hull_h + kEps;
        return iou - (hull - area) / hull;
    }
    const float diagonal = square(hull_w) + square(hull_h) + kEps;
    const float distance = (square(b.x1 + b.x2 - a.x1 - a.x2) + square(b.y1 + b.y2 - a.y1 - a.y2)) / 4;
    if (kind == IouKind::kDiou) return iou - distance / diagonal;

    const float v = kFourOverPiSquared * square(b.angle - a.angle);
    const float alpha = v / (v - iou + (1 + kEps));
    return iou - (distance / diagonal + v * alpha);
}

template <IouKind kind>
void fill(const Boxes& a, int64_t n, const Boxes& b, int64_t m, float* out) {
    const int64_t grain = std::max<int64_t>(1, kPairsPerPiece / std::max<int64_t>(m, 1));
    parallel_for(n, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const Box box = a[i];
            for (int64_t j = 0; j < m; ++j) out[i * m + j] = overlap<kind>(box, b[j]);
        }
    });
}

}  // namespace

void pairwise_iou(const float* a, int64_t n, const float* b, int64_t m, IouKind kind, float* out) {
    const bool angles = kind == IouKind::kCiou;
    const Boxes first(a, n, angles), second(b, m, angles);
    switch (kind) {
        case IouKind::kIou:
            return fill<IouKind::kIou>(first, n, second, m, out);
        case IouKind::kGiou:
            return fill<IouKind::kGiou>(first, n, second, m, out);
        case IouKind::kDiou:
            return fill<IouKind::kDiou>(first, n, second, m, out);
        case IouKind::kCiou:
            return fill<IouKind::kCiou>(first, n, second, m, out);
    }
}

}  // namespace yolo::ops
