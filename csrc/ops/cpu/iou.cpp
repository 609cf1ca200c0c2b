#include "ops/iou.h"

#include <algorithm>
#include <vector>

#include "parallel/team.h"

namespace yolo::ops {
namespace {

constexpr float kEps = 1e-7f;
constexpr int64_t kPairsPerPiece = 1 << 15;

// One box set, a coordinate an array, so that a row of the result vectorises.
struct Boxes {
    std::vector<float> x1, y1, x2, y2, area;

    Boxes(const float* boxes, int64_t n) : x1(n), y1(n), x2(n), y2(n), area(n) {
        for (int64_t i = 0; i < n; ++i) {
            x1[i] = boxes[4 * i];
            y1[i] = boxes[4 * i + 1];
            x2[i] = boxes[4 * i + 2];
            y2[i] = boxes[4 * i + 3];
            area[i] = (x2[i] - x1[i]) * (y2[i] - y1[i]);
        }
    }
};

}  // namespace

void pairwise_iou(const float* a, int64_t n, const float* b, int64_t m, float* out) {
    const Boxes first(a, n), second(b, m);
    const float *x1 = second.x1.data(), *y1 = second.y1.data(), *x2 = second.x2.data(), *y2 = second.y2.data();
    const float* areas = second.area.data();
    const int64_t grain = std::max<int64_t>(1, kPairsPerPiece / std::max<int64_t>(m, 1));
    parallel::deal(n, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const float left = first.x1[i], top = first.y1[i], right = first.x2[i], bottom = first.y2[i];
            const float area = first.area[i];
            for (int64_t j = 0; j < m; ++j) {
                const float inter = std::max(0.0f, std::min(right, x2[j]) - std::max(left, x1[j])) *
                                    std::max(0.0f, std::min(bottom, y2[j]) - std::max(top, y1[j]));
                out[i * m + j] = inter / (area + areas[j] - inter + kEps);
            }
        }
    });
}

}  // namespace yolo::ops
