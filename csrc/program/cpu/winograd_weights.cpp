#include "program/cpu/winograd_weights.h"

namespace yolo::program {
namespace {

constexpr int64_t kMostSide = 9;  // points of a tile along one axis

// Gg: of the taps along one axis the weights at its points. Of stride 2: taps 0 and 2, then tap 1 for each output.
void to_points(ConvForm form, const double* g, double* u) {
    switch (form) {
        case ConvForm::f4:
            u[0] = g[0] / 4.0;
            u[1] = -(g[0] + g[1] + g[2]) / 6.0;
            u[2] = -(g[0] - g[1] + g[2]) / 6.0;
            u[3] = g[0] / 24.0 + g[1] / 12.0 + g[2] / 6.0;
            u[4] = g[0] / 24.0 - g[1] / 12.0 + g[2] / 6.0;
            u[5] = g[2];
            return;
        case ConvForm::f4_stride2:
            u[0] = g[0] / 2.0;
            u[1] = -(g[0] + g[2]) / 2.0;
            u[2] = (g[2] - g[0]) / 6.0;
            u[3] = g[0] / 6.0 + g[2] / 3.0;
            u[4] = g[2];
            u[5] = u[6] = u[7] = u[8] = g[1];
            return;
        case ConvForm::f2_stride2:
            u[0] = g[0];
            u[1] = g[0] + g[2];
            u[2] = g[2];
            u[3] = u[4] = g[1];
            return;
        case ConvForm::matmul: u[0] = g[0]; return;
    }
}

// GgG' of one kernel, rows after rows.
void transform(ConvForm form, const float* kernel, double* points) {
    const auto [taps, stride, tile, count] = sides(form);
    double columns[3][kMostSide];
    for (int64_t x = 0; x < taps; ++x) {
        double column[3];
        for (int64_t y = 0; y < taps; ++y) column[y] = kernel[y * taps + x];
        to_points(form, column, columns[x]);
    }
    for (int64_t y = 0; y < count; ++y) {
        double row[3];
        for (int64_t x = 0; x < taps; ++x) row[x] = columns[x][y];
        to_points(form, row, points + y * count);
    }
}

}  // namespace

void transform_weights(const std::vector<float>& weights, int64_t target, int64_t source, int64_t lanes, ConvForm form,
                       float* to) {
    const int64_t numbers = sides(form).kernel * sides(form).kernel;
    for (int64_t k = 0; k < target; ++k) {
        const int64_t panel = k / (2 * lanes) * 2 * lanes, width = panel + 2 * lanes <= target ? 2 * lanes : lanes;
        for (int64_t c = 0; c < source; ++c) {
            double points[kMostSide * kMostSide];
            transform(form, weights.data() + (k * source + c) * numbers, points);
            float* const place = to + panel * source + c * width + k - panel;
            for (int64_t i = 0; i < points_of(form); ++i) place[i * target * source] = static_cast<float>(points[i]);
        }
    }
}

}  // namespace yolo::program
