#include "render/warp.h"

#include <cmath>

#include "render/kernels/kernels.h"

namespace yolo::render {
namespace {

constexpr int kBits = 10;  // of a place while steps are added up
constexpr double kOne = 1 << kBits;
constexpr double kReach = 2;  // pixels: one for bilinear sampling, one for the fixed-point places
constexpr double kFarthest = 1 << 18;  // pixels, more than a canvas has: what is farther is as good as there, and fits 32 bits

int32_t fixed(double value, double unit) {
    return static_cast<int32_t>(std::lrint(std::clamp(value, -kFarthest, kFarthest) * unit));
}

// Of an affine matrix by OpenCV's formula, all zeros where it has none; else by its adjugate.
std::array<double, 9> inverse(const std::array<double, 9>& m, bool affine) {
    if (affine) {
        const double area = m[0] * m[4] - m[1] * m[3], d = area != 0 ? 1.0 / area : 0.0;
        const double a = m[4] * d, b = -m[1] * d, c = -m[3] * d, e = m[0] * d;
        return {a, b, -a * m[2] - b * m[5], c, e, -c * m[2] - e * m[5], 0, 0, 1};
    }
    const std::array<double, 9> adjugate = {
        m[4] * m[8] - m[5] * m[7], m[2] * m[7] - m[1] * m[8], m[1] * m[5] - m[2] * m[4],
        m[5] * m[6] - m[3] * m[8], m[0] * m[8] - m[2] * m[6], m[2] * m[3] - m[0] * m[5],
        m[3] * m[7] - m[4] * m[6], m[1] * m[6] - m[0] * m[7], m[0] * m[4] - m[1] * m[3]};
    const double volume = m[0] * adjugate[0] + m[1] * adjugate[3] + m[2] * adjugate[6];
    std::array<double, 9> result{};
    for (size_t i = 0; i < 9; ++i) result[i] = volume != 0 ? adjugate[i] / volume : 0.0;
    return result;
}

}  // namespace

Warp::Warp(const std::array<double, 9>& matrix, const Size& size)
    : size_(size), affine_(matrix[6] == 0 && matrix[7] == 0 && matrix[8] == 1) {
    back_ = inverse(matrix, affine_);
    if (!affine_) return;
    for (int64_t x = 0; x < size.width; ++x) {
        steps_x_.push_back(fixed(back_[0] * static_cast<double>(x), kOne));
        steps_y_.push_back(fixed(back_[3] * static_cast<double>(x), kOne));
    }
}

Rect Warp::seen(const Size& canvas) const {
    const Rect all = Rect::of(canvas);
    if (!affine_) return all;  // what lies behind the eye would have to be left out first
    double low[2] = {kFarthest, kFarthest}, high[2] = {-kFarthest, -kFarthest};
    for (int corner = 0; corner < 4; ++corner) {
        const double x = corner & 1 ? static_cast<double>(size_.width) : 0.0;
        const double y = corner & 2 ? static_cast<double>(size_.height) : 0.0;
        for (size_t i = 0; i < 2; ++i) {
            const double at = back_[3 * i] * x + back_[3 * i + 1] * y + back_[3 * i + 2];
            low[i] = std::min(low[i], at);
            high[i] = std::max(high[i], at);
        }
    }
    const auto whole = [](double at) { return static_cast<int64_t>(std::clamp(at, -kFarthest, kFarthest)); };
    return Rect{whole(std::floor(low[0] - kReach)), whole(std::floor(low[1] - kReach)),
                whole(std::ceil(high[0] + kReach)), whole(std::ceil(high[1] + kReach))}
        .within(all);
}

void Warp::row(int64_t y, int64_t x0, int64_t y0, int32_t* xs, int32_t* ys) const {
    const auto left = static_cast<int32_t>(x0 << kPlaceBits), top = static_cast<int32_t>(y0 << kPlaceBits);
    affine_ ? affine_row(y, left, top, xs, ys) : perspective_row(y, left, top, xs, ys);
}

void Warp::affine_row(int64_t y, int32_t left, int32_t top, int32_t* xs, int32_t* ys) const {
    constexpr int kRest = kBits - kPlaceBits;
    constexpr int32_t kHalf = 1 << (kRest - 1);
    const int32_t x0 = fixed(back_[1] * static_cast<double>(y) + back_[2], kOne) + kHalf - (left << kRest);
    const int32_t y0 = fixed(back_[4] * static_cast<double>(y) + back_[5], kOne) + kHalf - (top << kRest);
    const int32_t *const steps_x = steps_x_.data(), *const steps_y = steps_y_.data();
    for (int64_t x = 0; x < size_.width; ++x) xs[x] = (x0 + steps_x[x]) >> kRest;
    for (int64_t x = 0; x < size_.width; ++x) ys[x] = (y0 + steps_y[x]) >> kRest;
}

void Warp::perspective_row(int64_t y, int32_t left, int32_t top, int32_t* xs, int32_t* ys) const {
    const double line = static_cast<double>(y);
    for (int64_t k = 0; k < size_.width; ++k) {
        const double x = static_cast<double>(k);
        const double depth = back_[6] * x + back_[7] * line + back_[8], share = depth != 0 ? 1.0 / depth : 0.0;
        xs[k] = fixed((back_[0] * x + back_[1] * line + back_[2]) * share, 1 << kPlaceBits) - left;
        ys[k] = fixed((back_[3] * x + back_[4] * line + back_[5]) * share, 1 << kPlaceBits) - top;
    }
}

}  // namespace yolo::render
