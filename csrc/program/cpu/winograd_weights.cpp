#include "program/cpu/winograd_weights.h"

namespace yolo::program {
namespace {

constexpr int64_t kMostSide = 9;  // points of a tile along one axis

// Gg: of the taps along one axis the weights at its points. Of stride 2: taps 0 and 2, then tap 1 for each output.
void to_points(WinogradForm form, const double* g, double* u) {
    switch (form) {
        case WinogradForm::f4:
            u[0] = g[0] / 4.0;
            u[1] = -(g[0] + g[1] + g[2]) / 6.0;
            u[2] = -(g[0] - g[1] + g[2]) / 6.0;
            u[3] = g[0] / 24.0 + g[1] / 12.0 + g[2] / 6.0;
            u[4] = g[0] / 24.0 - g[1] / 12.0 + g[2] / 6.0;
            u[5] = g[2];
            return;
        case WinogradForm::f4_stride2:
            u[0] = g[0] / 2.0;
            u[1] = -(g[0] + g[2]) / 2.0;
            u[2] = (g[2] - g[0]) / 6.0;
            u[3] = g[0] / 6.0 + g[2] / 3.0;
            u[4] = g[2];
            u[5] = u[6] = u[7] = u[8] = g[1];
            return;
        case WinogradForm::f2_stride2:
            u[0] = g[0];
            u[1] = g[0] + g[2];
            u[2] = g[2];
            u[3] = u[4] = g[1];
            return;
    }
}

// GgG' of one kernel, rows after rows.
void transform(WinogradForm form, const float* kernel, double* points) {
    const int64_t count = sides(form).points;
    double columns[3][kMostSide];
    for (int64_t x = 0; x < 3; ++x) {
        const double column[] = {kernel[x], kernel[3 + x], kernel[6 + x]};
        to_points(form, column, columns[x]);
    }
    for (int64_t y = 0; y < count; ++y) {
        const double row[] = {columns[0][y], columns[1][y], columns[2][y]};
        to_points(form, row, points + y * count);
    }
}

template <WinogradForm F>
constexpr Packing kPacking{
    [](const dnnl::memory::dims& dims, int64_t) {
        return static_cast<size_t>(points_of(F) * dims[0] * dims[1]) * sizeof(float);
    },
    [](const std::vector<float>& weights, const dnnl::memory::dims& dims, int64_t lanes, std::byte* to) {
        transform_weights(weights, dims[0], dims[1], lanes, F, reinterpret_cast<float*>(to));
    }};

}  // namespace

const Packing& packing_of(WinogradForm form) {
    switch (form) {
        case WinogradForm::f4_stride2: return kPacking<WinogradForm::f4_stride2>;
        case WinogradForm::f2_stride2: return kPacking<WinogradForm::f2_stride2>;
        default: return kPacking<WinogradForm::f4>;
    }
}

void transform_weights(const std::vector<float>& weights, int64_t target, int64_t source, int64_t lanes,
                       WinogradForm form, float* to) {
    for (int64_t k = 0; k < target; ++k) {
        const int64_t panel = k / (2 * lanes) * 2 * lanes, width = panel + 2 * lanes <= target ? 2 * lanes : lanes;
        for (int64_t c = 0; c < source; ++c) {
            double points[kMostSide * kMostSide];
            transform(form, weights.data() + (k * source + c) * 9, points);
            float* const place = to + panel * source + c * width + k - panel;
            for (int64_t i = 0; i < points_of(form); ++i) place[i * target * source] = static_cast<float>(points[i]);
        }
    }
}

}  // namespace yolo::program
