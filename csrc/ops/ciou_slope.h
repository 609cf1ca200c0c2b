// Complete IoU (Zheng et al. 2020) of one predicted box with its label, and its slope in the raw predictions.
#pragma once

#include <cmath>

#include "cuda/words.h"

namespace yolo::ops {

struct CiouSlope {
    double ciou;
    double slope[4];  // d CIoU / d raw x, y, w, h; alpha is taken for a constant
};

namespace ciou {

constexpr double kEps = 1e-7;
constexpr double kPi = 3.14159265358979323846;

// NaN in the second place is passed over, as std::min and std::max do.
YOLO_DEVICE double lesser(double a, double b) {
    return b < a ? b : a;
}

YOLO_DEVICE double greater(double a, double b) {
    return a < b ? b : a;
}

// A prediction and a label along one axis, and what moves with the prediction's centre and size.
struct Axis {
    double overlap, hull;
    double overlap_centre, overlap_size, hull_centre, hull_size;

    YOLO_DEVICE Axis(double centre, double size, double target, double target_size) {
        const double low = centre - size / 2, high = centre + size / 2;
        const double target_low = target - target_size / 2, target_high = target + target_size / 2;
        const bool ends_first = high < target_high, starts_last = low > target_low;
        const double side = lesser(high, target_high) - greater(low, target_low);
        overlap = side < 0 ? 0 : side;
        hull = greater(high, target_high) - lesser(low, target_low);
        overlap_centre = side > 0 ? double(ends_first) - double(starts_last) : 0;
        overlap_size = side > 0 ? (double(ends_first) + double(starts_last)) / 2 : 0;
        hull_centre = double(!ends_first) - double(!starts_last);
        hull_size = (double(!ends_first) + double(!starts_last)) / 2;
    }
};

YOLO_DEVICE double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

}  // namespace ciou

// raw: x, y, w, h before the sigmoid; centre = 2 sigmoid - 0.5, size = (2 sigmoid)^2 anchor. target: x, y, w, h.
// All in cells, from the cell's corner. Double, because 1 - CIoU of a good prediction is a small difference.
YOLO_DEVICE CiouSlope ciou_with_slope(const float raw[4], const float anchor[2], const float target[4]) {
    using namespace ciou;
    double p[4], flow[4];  // flow: d (x, y, w, h) / d raw
    for (int i = 0; i < 4; ++i) {
        p[i] = sigmoid(raw[i]);
        flow[i] = (i < 2 ? 2.0 : 8 * p[i] * anchor[i - 2]) * p[i] * (1 - p[i]);
    }
    const double x = 2 * p[0] - 0.5, y = 2 * p[1] - 0.5;
    const double w = 4 * p[2] * p[2] * anchor[0], h = 4 * p[3] * p[3] * anchor[1];
    const double target_w = target[2], target_h = target[3];
    const Axis across(x, w, target[0], target_w), down(y, h, target[1], target_h);

    const double inter = across.overlap * down.overlap, area = w * h + target_w * target_h - inter + kEps;
    const double iou = inter / area;
    const double per_inter = (1 + iou) / area, per_size = -iou / area;  // d iou / d inter, d iou / d (w h)

    const double dx = x - target[0], dy = y - target[1];
    const double diagonal = across.hull * across.hull + down.hull * down.hull + kEps;
    const double away = (dx * dx + dy * dy) / diagonal;
    const double per_hull = -2 * away / diagonal;  // d away / d hull, over the hull

    const double safe_h = h + kEps;
    const double turn = atan(target_w / (target_h + kEps)) - atan(w / safe_h);
    const double aspect = 4 / (kPi * kPi) * turn * turn;
    const double alpha = aspect / (aspect - iou + (1 + kEps));
    const double per_turn = alpha * 8 / (kPi * kPi) * turn / (w * w + safe_h * safe_h);

    const double ix = per_inter * down.overlap, iy = per_inter * across.overlap;
    const double hx = per_hull * across.hull, hy = per_hull * down.hull;
    return {iou - (away + aspect * alpha),
            {flow[0] * (ix * across.overlap_centre - 2 * dx / diagonal - hx * across.hull_centre),
             flow[1] * (iy * down.overlap_centre - 2 * dy / diagonal - hy * down.hull_centre),
             flow[2] * (ix * across.overlap_size + per_size * h - hx * across.hull_size + per_turn * safe_h),
             flow[3] * (iy * down.overlap_size + per_size * w - hy * down.hull_size - per_turn * w)}};
}

}  // namespace yolo::ops
