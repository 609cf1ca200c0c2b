// What the loss makes of its sums, for every kind of processor.
#pragma once

#include <cstdint>

#include "cuda/words.h"
#include "ops/loss.h"

namespace yolo::ops {

struct Gains {
    double box, obj, cls;
};

inline Gains gains_of(const LossSettings& settings) {
    return {settings.box, settings.obj, settings.cls};
}

// What a unit of slope weighs in the loss: gain over the number that its mean is taken over, times the images.
struct Scales {
    float box, obj, cls;
};

// images: in the whole batch, and `matches` a level in it.
YOLO_DEVICE Scales scales_of(const Gains& gains, double balance, const Level& level, double matches, double images,
                             int64_t classes) {
    const double some = matches < 1.0 ? 1.0 : matches;
    const double cells = images * static_cast<double>(level.anchors * level.height * level.width);
    return {static_cast<float>(gains.box / some * images), static_cast<float>(gains.obj * balance / cells * images),
            static_cast<float>(gains.cls / some / static_cast<double>(classes) * images)};
}

// The box, objectness and class loss of a batch in `parts` parts, level after level.
struct PartSums {
    double box = 0, obj = 0, cls = 0;

    // terms: the level's; matches: in the whole batch.
    YOLO_DEVICE void add(const double* terms, double matches, double balance, int64_t parts) {
        const double some = matches < 1.0 ? 1.0 : matches;
        box += terms[0] / some;
        obj += terms[2] / (terms[3] * static_cast<double>(parts)) * balance;
        cls += terms[4] / some;
    }

    // images: in the whole batch. to: kLossParts.
    YOLO_DEVICE void write(const Gains& gains, int64_t images, float* to) const {
        const double weighted[] = {box * gains.box, obj * gains.obj, cls * gains.cls};
        to[0] = static_cast<float>((weighted[0] + weighted[1] + weighted[2]) * static_cast<double>(images));
        for (int64_t k = 1; k < kLossParts; ++k) to[k] = static_cast<float>(weighted[k - 1]);
    }
};

}  // namespace yolo::ops
