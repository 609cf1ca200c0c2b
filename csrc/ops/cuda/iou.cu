#include "ops/cuda/iou.h"

#include <cmath>

#include "cuda/kernel.h"
#include "ops/cuda/boxes.h"

namespace yolo::ops::cuda {
namespace {

using namespace yolo::cuda;

constexpr float kPairEps = 1e-7f;
constexpr int64_t kRows = 8;  // pairs of one thread, so that it divides and reads b once for them

struct Pairs {
    const float *a, *b;
    int64_t n, m;
    float* out;

    YOLO_DEVICE void operator()(int64_t i) const {
        const int64_t first = i / m * kRows, j = i % m, last = first + kRows < n ? first + kRows : n;
        const Box second = load_box(b + 4 * j);
        const float area = second.area();
        for (int64_t k = first; k < last; ++k) {
            const Box box = load_box(a + 4 * k);
            const float inter = box.intersection(second);
            out[k * m + j] = inter / (box.area() + area - inter + kPairEps);
        }
    }
};

constexpr double kEps = 1e-7, kPi = 3.14159265358979323846;

// A box and its target along one axis, and what moves with the box's centre and size: csrc/ops/cpu/ciou_slope.h.
struct Axis {
    double overlap, hull, apart;
    double overlap_centre, overlap_size, hull_centre, hull_size;

    YOLO_DEVICE Axis(double centre, double size, double target, double target_size) {
        const double low = centre - size / 2, high = centre + size / 2;
        const double target_low = target - target_size / 2, target_high = target + target_size / 2;
        const bool ends_first = high < target_high, starts_last = low > target_low;
        const double side = fmin(high, target_high) - fmax(low, target_low);
        const double ends = ends_first, starts = starts_last;
        overlap = side < 0 ? 0 : side;
        hull = fmax(high, target_high) - fmin(low, target_low);
        apart = centre - target;
        overlap_centre = side > 0 ? ends - starts : 0;
        overlap_size = side > 0 ? (ends + starts) / 2 : 0;
        hull_centre = starts - ends;
        hull_size = (2 - ends - starts) / 2;
    }
};

// A value and how it moves with a box's centre and size.
struct Slope {
    double value, x, y, w, h;
};

struct Pair {
    double w, h, target_w, target_h;
    Axis across, down;
    double inter, area;  // of both together

    YOLO_DEVICE Pair(const float* a, const float* b)
        : w(a[2]), h(a[3]), target_w(b[2]), target_h(b[3]), across(a[0], w, b[0], target_w),
          down(a[1], h, b[1], target_h), inter(across.overlap * down.overlap),
          area(w * h + target_w * target_h - inter + kEps) {}

    YOLO_DEVICE Slope iou() const {
        const double value = inter / area, per_inter = (1 + value) / area, per_size = -value / area;
        const double ix = per_inter * down.overlap, iy = per_inter * across.overlap;
        return {value, ix * across.overlap_centre, iy * down.overlap_centre, ix * across.overlap_size + per_size * h,
                iy * down.overlap_size + per_size * w};
    }

    // Less the share of the hull that neither covers.
    YOLO_DEVICE void generalise(Slope& slope) const {
        const double hull = across.hull * down.hull + kEps, share = area / hull;
        // d (area / hull): the area grows by w h and shrinks by the overlap.
        const double ix = -down.overlap / hull, iy = -across.overlap / hull;
        const double hx = -share * down.hull / hull, hy = -share * across.hull / hull;
        slope.value -= (hull - area) / hull;
        slope.x += ix * across.overlap_centre + hx * across.hull_centre;
        slope.y += iy * down.overlap_centre + hy * down.hull_centre;
        slope.w += ix * across.overlap_size + h / hull + hx * across.hull_size;
        slope.h += iy * down.overlap_size + w / hull + hy * down.hull_size;
    }

    // Less the centres' distance, in diagonals of the hull, squared.
    YOLO_DEVICE void keep_near(Slope& slope) const {
        const double diagonal = across.hull * across.hull + down.hull * down.hull + kEps;
        const double away = (across.apart * across.apart + down.apart * down.apart) / diagonal;
        const double hx = 2 * away / diagonal * across.hull, hy = 2 * away / diagonal * down.hull;
        slope.value -= away;
        slope.x += hx * across.hull_centre - 2 * across.apart / diagonal;
        slope.y += hy * down.hull_centre - 2 * down.apart / diagonal;
        slope.w += hx * across.hull_size;
        slope.h += hy * down.hull_size;
    }

    // Less what the aspects differ.
    YOLO_DEVICE void keep_aspect(Slope& slope, double iou) const {
        const double safe_h = h + kEps, turn = atan(target_w / (target_h + kEps)) - atan(w / safe_h);
        const double aspect = 4 / (kPi * kPi) * turn * turn, alpha = aspect / (aspect - iou + (1 + kEps));
        const double per_turn = alpha * 8 / (kPi * kPi) * turn / (w * w + safe_h * safe_h);
        slope.value -= aspect * alpha;
        slope.w += per_turn * safe_h;
        slope.h -= per_turn * w;
    }
};

struct Overlaps {
    Overlap kind;
    const float *a, *b;
    float *values, *gradient;

    YOLO_DEVICE void operator()(int64_t i) const {
        const Pair pair(a + 4 * i, b + 4 * i);
        Slope slope = pair.iou();
        const double iou = slope.value;
        if (kind == Overlap::giou) pair.generalise(slope);
        if (kind == Overlap::diou || kind == Overlap::ciou) pair.keep_near(slope);
        if (kind == Overlap::ciou) pair.keep_aspect(slope, iou);
        values[i] = static_cast<float>(slope.value);
        if (gradient == nullptr) return;
        const Box out = {static_cast<float>(slope.x), static_cast<float>(slope.y), static_cast<float>(slope.w),
                         static_cast<float>(slope.h)};
        store_box(gradient + 4 * i, out);
    }
};

}  // namespace

void pairwise_iou(const float* a, int64_t n, const float* b, int64_t m, float* out, Stream stream) {
    each(stream, (n + kRows - 1) / kRows * m, Pairs{a, b, n, m, out});
}

void overlap(Overlap kind, const float* a, const float* b, int64_t n, float* values, float* gradient, Stream stream) {
    each(stream, n, Overlaps{kind, a, b, values, gradient});
}

}  // namespace yolo::ops::cuda
