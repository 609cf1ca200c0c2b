#include "program/cpu/winograd_weights.h"

namespace yolo::program {
namespace {

constexpr int64_t kPoints = 6;

// Gg.
void to_points(const double* g, double* u) {
    u[0] = g[0] / 4.0;
    u[1] = -(g[0] + g[1] + g[2]) / 6.0;
    u[2] = -(g[0] - g[1] + g[2]) / 6.0;
    u[3] = g[0] / 24.0 + g[1] / 12.0 + g[2] / 6.0;
    u[4] = g[0] / 24.0 - g[1] / 12.0 + g[2] / 6.0;
    u[5] = g[2];
}

// GgG' of one kernel, rows after rows.
void transform(const float* kernel, double* points) {
    double columns[3][kPoints];
    for (int64_t x = 0; x < 3; ++x) {
        const double column[] = {kernel[x], kernel[3 + x], kernel[6 + x]};
        to_points(column, columns[x]);
    }
    for (int64_t y = 0; y < kPoints; ++y) {
        const double row[] = {columns[0][y], columns[1][y], columns[2][y]};
        to_points(row, points + y * kPoints);
    }
}

}  // namespace

void transform_weights(const std::vector<float>& weights, int64_t target, int64_t source, int64_t lanes, float* to) {
    for (int64_t k = 0; k < target; ++k) {
        const int64_t panel = k / (2 * lanes) * 2 * lanes, width = panel + 2 * lanes <= target ? 2 * lanes : lanes;
        for (int64_t c = 0; c < source; ++c) {
            double points[kWinogradPoints];
            transform(weights.data() + (k * source + c) * 9, points);
            float* const place = to + panel * source + c * width + k - panel;
            for (int64_t i = 0; i < kWinogradPoints; ++i) place[i * target * source] = static_cast<float>(points[i]);
        }
    }
}

}  // namespace yolo::program
