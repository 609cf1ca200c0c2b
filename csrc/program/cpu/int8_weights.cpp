#include "program/cpu/int8_weights.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace yolo::program {
namespace {

constexpr int64_t kStep = 8;
// Times the largest byte it is within 16 bits.
constexpr int kMostOfFour = 128;

// Of eight weights of a channel: those that meet in one sum are the pairs at the same place of both halves.
void check_sums(const int8_t* eight) {
    for (int pair = 0; pair < 4; pair += 2) {
        int above = 0, below = 0;
        for (const int i : {pair, pair + 1, pair + 4, pair + 5}) (eight[i] > 0 ? above : below) += eight[i];
        if (above > kMostOfFour || below < -kMostOfFour) {
            throw std::invalid_argument("weights are too large for sums of four products in 16 bits");
        }
    }
}

// 64 times a sum is within 32 bits, with its sign.
constexpr int64_t kMostSum = int64_t{1} << 25;

// 24 times G of F(4x4, 3x3), the last row 12 times: whole numbers, such that points of weights within 127 are within 18288.
void to_points(const int* g, int* u) {
    u[0] = 6 * g[0];
    u[1] = -4 * (g[0] + g[1] + g[2]);
    u[2] = -4 * (g[0] - g[1] + g[2]);
    u[3] = g[0] + 2 * g[1] + 4 * g[2];
    u[4] = g[0] - 2 * g[1] + 4 * g[2];
    u[5] = 12 * g[2];
}

// Of one kernel in both directions, rows after rows.
void transform(const int* kernel, int* points) {
    int columns[3][6];
    for (int64_t x = 0; x < 3; ++x) {
        const int column[] = {kernel[x], kernel[3 + x], kernel[6 + x]};
        to_points(column, columns[x]);
    }
    for (int64_t y = 0; y < 6; ++y) {
        const int row[] = {columns[0][y], columns[1][y], columns[2][y]};
        to_points(row, points + y * 6);
    }
}

}  // namespace

Fours::Fours(const dnnl::memory::dims& dims, int64_t lanes)
    : panels((dims[0] + lanes - 1) / lanes),
      runs(dims[2]),
      length((dims[1] * dims[3] + kStep - 1) / kStep * kStep),
      lanes(lanes) {}

size_t Fours::bytes() const {
    return static_cast<size_t>(panels * (panel_bytes() + lanes * static_cast<int64_t>(sizeof(int32_t))));
}

void pack_fours(const std::vector<float>& weights, const dnnl::memory::dims& dims, int64_t lanes, std::byte* to) {
    const Fours form(dims, lanes);
    const int64_t source = dims[1], width = dims[3];
    std::memset(to, 0, form.bytes());
    auto* const panels = reinterpret_cast<int8_t*>(to);
    auto* const sums = reinterpret_cast<int32_t*>(to + form.panels * form.panel_bytes());
    for (int64_t k = 0; k < dims[0]; ++k) {
        int8_t* const panel = panels + k / lanes * form.panel_bytes() + k % lanes * 4;
        for (int64_t run = 0; run < form.runs; ++run) {
            for (int64_t first = 0; first < form.length; first += kStep) {
                int8_t eight[kStep] = {};
                for (int64_t i = first; i < std::min(first + kStep, source * width); ++i) {
                    const float weight = weights[((k * source + i % source) * form.runs + run) * width + i / source];
                    eight[i - first] = static_cast<int8_t>(std::max(-127.0f, std::min(127.0f, weight)));
                    sums[k] += eight[i - first];
                }
                check_sums(eight);
                int8_t* const place = panel + (run * form.length + first) * lanes;
                std::memcpy(place, eight, 4);
                std::memcpy(place + 4 * lanes, eight + 4, 4);
            }
        }
    }
}

void pack_int8_winograd(const std::vector<float>& weights, const dnnl::memory::dims& dims, int64_t lanes, std::byte* to) {
    const int64_t target = dims[0], source = dims[1];
    auto* const words = reinterpret_cast<int16_t*>(to);
    for (int64_t k = 0; k < target; ++k) {
        const float* const own = weights.data() + k * source * 9;
        const int64_t panel = k / (2 * lanes) * 2 * lanes, width = panel + 2 * lanes <= target ? 2 * lanes : lanes;
        int64_t total = 0;
        for (int64_t c = 0; c < source; ++c) {
            int kernel[9], points[kInt8Points];
            for (int64_t i = 0; i < 9; ++i) {
                kernel[i] = static_cast<int>(std::max(-127.0f, std::min(127.0f, own[c * 9 + i])));
                total += std::abs(kernel[i]);
            }
            transform(kernel, points);
            int16_t* const place = words + kInt8Points * panel * source + c / 2 * width * 2 + (k - panel) * 2 + c % 2;
            for (int64_t i = 0; i < kInt8Points; ++i) place[i * width * source] = static_cast<int16_t>(points[i]);
        }
        if (total * 255 >= kMostSum) throw std::invalid_argument("weights are too large for sums of 26 bits");
    }
}

const Packing kFoursPacking{[](const dnnl::memory::dims& dims, int64_t lanes) { return Fours(dims, lanes).bytes(); },
                            pack_fours};

const Packing kInt8WinogradPacking{
    [](const dnnl::memory::dims& dims, int64_t) {
        return static_cast<size_t>(kInt8Points * dims[0] * dims[1]) * sizeof(int16_t);
    },
    pack_int8_winograd};

}  // namespace yolo::program
