// YOLOv5's detection loss with its gradient, from raw heads in the layout that a convolution gives.
#pragma once

#include <cstdint>
#include <vector>

namespace yolo::ops {

constexpr int64_t kLossTerms = 5;  // sum of 1 - CIoU, matches, sum of objectness BCE, cells, sum of class BCE means
constexpr int64_t kLossParts = 4;  // loss, box, obj, cls

// What a recipe says, as yolo.loss.settings has it; gains are already scaled.
struct LossSettings {
    double box, obj, cls;
    double cls_pw, obj_pw;
    double anchor_t, fl_gamma, label_smoothing;
    std::vector<double> balance;  // the objectness loss's weight, one a level
};

// The padded labels of a batch: images x capacity x 5 (class, x, y, w, h; normalised), counts[image] of them
// real.
struct Labels {
    const float* rows;
    const int32_t* counts;
    int64_t images, capacity;
};

// One level: its anchors (anchors x 2: w, h in cells) and grid.
struct Level {
    const float* anchor_sizes;
    int64_t anchors, height, width;
};

// head: images x anchors x (5 + classes) x height x width, before the sigmoid (x, y, w, h, objectness, classes).
// gradient: the same shape, or nullptr when it is not wanted.
struct LossLevel {
    Level grid;
    const float* head;
    float* gradient;
};

// What the labels and heads are a part of: a batch in `parts` equal parts, one a rank. matches: in the whole batch, one
// number a level; nullptr where the part is the whole.
struct Whole {
    int64_t parts = 1;
    const double* matches = nullptr;
};

// terms: levels x kLossTerms, sums that add up over parts of a batch. parts: kLossParts; box, obj and cls are means
// over matches and cells, balanced and weighted by the gains, and the loss is their sum times the number of images.
// Of a part of a batch, gradients and parts are its summands of those of the whole.
// Every gradient (d loss / d head) is written completely.
// A label matches an anchor when neither side is anchor_t times greater or smaller. It goes to its own cell and to the
// neighbours whose border is nearer than half a cell, at most to the grid's border. One that is not finite, has a class
// below 0 (or above 2^24) or a side that is not above 0 matches nothing. The objectness target is max(CIoU, 0) of the
// last match written to a cell, in the order own cell, left, top, right, bottom, then by label; neither it nor CIoU's
// alpha is differentiated. With one class there is no class loss. A class that does not exist is wanted nowhere. NaN
// that is read (objectness anywhere, the rest at matches) gives NaN. Results do not depend on the number of threads.
void detection_loss(const Labels& labels, const LossLevel* levels, int64_t count, int64_t classes,
                    const LossSettings& settings, double* terms, float* parts, const Whole& whole = {});

// Matches a level of a batch: what `Whole` sums up. matches: one number a level, written.
void count_matches(const Labels& labels, const Level* levels, int64_t count, double anchor_t, double* matches);

}  // namespace yolo::ops
