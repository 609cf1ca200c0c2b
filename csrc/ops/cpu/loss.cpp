#include "ops/loss.h"

#include <algorithm>
#include <vector>

#include "ops/assign_rules.h"
#include "ops/ciou_slope.h"
#include "ops/cpu/bce_sum.h"
#include "ops/loss_rules.h"
#include "parallel/team.h"

namespace yolo::ops {
namespace {

struct Sums {
    double box = 0, obj = 0, cls = 0;
};

// One level's labels, image after image: those of image i are [first[i], first[i + 1]).
struct Targets {
    std::vector<Target> rows;
    std::vector<int64_t> first;
    int64_t matches = 0;

    Targets(const Labels& labels, const Level& level, float anchor_t) : first{0} {
        for (int64_t image = 0; image < labels.images; ++image) {
            for (int64_t i = 0; i < labels.counts[image]; ++i) {
                const float* label = labels.rows + (image * labels.capacity + i) * 5;
                if (!usable(label)) continue;
                rows.push_back(target_of(label, level));
                matches += matches_of(rows.back(), level, anchor_t);
            }
            first.push_back(rows.size());
        }
    }
};

// A level's constants.
struct Plan {
    LossLevel level;
    Targets targets;
    Scales scale;
};

// One image's cells of one anchor: no other item reads or writes their head and gradient.
class Item {
  public:
    Item(const Plan& plan, int64_t classes, const LossSettings& settings, int64_t image, int64_t anchor)
        : plan_(plan),
          settings_(settings),
          classes_(classes),
          cells_(plan.level.grid.height * plan.level.grid.width),
          anchor_(plan.level.grid.anchor_sizes + 2 * anchor) {
        const int64_t start = (image * plan.level.grid.anchors + anchor) * (5 + classes) * cells_;
        head_ = plan.level.head + start;
        if (plan.level.gradient) gradient_ = plan.level.gradient + start;
        const Targets& targets = plan.targets;
        match(targets.rows.data() + targets.first[image], targets.rows.data() + targets.first[image + 1]);
    }

    Sums run() {
        Sums sums;
        std::vector<float> objectness(cells_, 0.0f);
        sums.box = boxes(objectness.data());
        sums.obj = bce_with_slope(head_ + 4 * cells_, objectness.data(), cells_, form(settings_.obj_pw),
                                  plan_.scale.obj, gradient_ ? gradient_ + 4 * cells_ : nullptr);
        if (classes_ > 1) {
            sums.cls = classes();
        } else if (gradient_) {
            write(5, nullptr);
        }
        return sums;
    }

  private:
    struct Match {
        int64_t cell;
        int32_t cls;
        float box[4];
    };

    BceForm form(double positive_weight) const {
        return {static_cast<float>(positive_weight), static_cast<float>(settings_.fl_gamma)};
    }

    // In YOLOv5's order of writing: offset, then label.
    void match(const Target* begin, const Target* end) {
        const Level& grid = plan_.level.grid;
        for (int64_t o = 0; o < kAssignOffsets; ++o) {
            for (const Target* target = begin; target != end; ++target) {
                if (!target->given_to(o) || !fits(*target, anchor_, static_cast<float>(settings_.anchor_t))) continue;
                const auto [column, row] = cell_of(*target, o, grid);
                matches_.push_back({row * grid.width + column,
                                    target->cls,
                                    {target->x - column, target->y - row, target->w, target->h}});
            }
        }
        slopes_.resize(matches_.size());
    }

    // Sum of 1 - CIoU; the last match of a cell leaves its overlap as the cell's objectness.
    double boxes(float* objectness) {
        const int64_t n = matches_.size();
        std::vector<float> slopes(4 * n);
        double sum = 0;
        for (int64_t k = 0; k < n; ++k) {
            const Match& match = matches_[k];
            float raw[4];
            for (int64_t c = 0; c < 4; ++c) raw[c] = head_[c * cells_ + match.cell];
            const CiouSlope found = ciou_with_slope(raw, anchor_, match.box);
            sum += 1 - found.ciou;
            objectness[match.cell] = found.ciou < 0 ? 0.0f : static_cast<float>(found.ciou);
            for (int64_t c = 0; c < 4; ++c) {
                slopes[c * n + k] = static_cast<float>(-found.slope[c] * plan_.scale.box);
            }
        }
        for (int64_t c = 0; gradient_ && c < 4; ++c) write(c, slopes.data() + c * n);
        return sum;
    }

    // Sum over matches of the BCE's mean over classes, class plane after class plane: their numbers lie together.
    double classes() {
        const int64_t n = matches_.size();
        const float negative = static_cast<float>(0.5 * settings_.label_smoothing);
        const float positive = static_cast<float>(1 - 0.5 * settings_.label_smoothing);
        std::vector<float> logits(n), wanted(n);
        double sum = 0;
        for (int64_t c = 0; c < classes_; ++c) {
            const float* plane = head_ + (5 + c) * cells_;
            for (int64_t k = 0; k < n; ++k) {
                logits[k] = plane[matches_[k].cell];
                wanted[k] = matches_[k].cls == c ? positive : negative;
            }
            sum += bce_with_slope(logits.data(), wanted.data(), n, form(settings_.cls_pw), plan_.scale.cls,
                                  gradient_ ? slopes_.data() : nullptr);
            if (gradient_) write(5 + c, slopes_.data());
        }
        return sum / static_cast<double>(classes_);
    }

    // A channel of the gradient: zeros, and one slope a match (none where slopes is null).
    void write(int64_t channel, const float* slopes) {
        float* plane = gradient_ + channel * cells_;
        std::fill(plane, plane + cells_, 0.0f);
        if (!slopes) return;
        for (size_t k = 0; k < matches_.size(); ++k) plane[matches_[k].cell] += slopes[k];
    }

    const Plan& plan_;
    const LossSettings& settings_;
    const int64_t classes_, cells_;
    const float* anchor_;
    const float* head_ = nullptr;
    float* gradient_ = nullptr;
    std::vector<Match> matches_;
    std::vector<float> slopes_;
};

std::vector<Plan> plans_of(const Labels& labels, const LossLevel* levels, int64_t count, int64_t classes,
                           const LossSettings& settings, const Whole& whole) {
    std::vector<Plan> plans;
    const double images = static_cast<double>(labels.images * whole.parts);
    for (int64_t i = 0; i < count; ++i) {
        const Level& grid = levels[i].grid;
        Targets targets(labels, grid, static_cast<float>(settings.anchor_t));
        const double matches = whole.matches ? whole.matches[i] : static_cast<double>(targets.matches);
        const Scales scale = scales_of(gains_of(settings), settings.balance[i], grid, matches, images, classes);
        plans.push_back({levels[i], std::move(targets), scale});
    }
    return plans;
}

void combine(const double* terms, int64_t count, int64_t images, const LossSettings& settings, const Whole& whole,
             float* parts) {
    PartSums sums;
    for (int64_t i = 0; i < count; ++i) {
        const double* row = terms + i * kLossTerms;
        sums.add(row, whole.matches ? whole.matches[i] : row[1], settings.balance[i], whole.parts);
    }
    sums.write(gains_of(settings), images * whole.parts, parts);
}

}  // namespace

void detection_loss(const Labels& labels, const LossLevel* levels, int64_t count, int64_t classes,
                    const LossSettings& settings, double* terms, float* parts, const Whole& whole) {
    const std::vector<Plan> plans = plans_of(labels, levels, count, classes, settings, whole);
    std::vector<int64_t> first{0};  // item numbers of the levels
    for (const Plan& plan : plans) first.push_back(first.back() + labels.images * plan.level.grid.anchors);
    std::vector<Sums> sums(first.back());
    parallel::deal(first.back(), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const int64_t level = std::upper_bound(first.begin(), first.end(), i) - first.begin() - 1;
            const int64_t anchors = plans[level].level.grid.anchors, place = i - first[level];
            sums[i] = Item(plans[level], classes, settings, place / anchors, place % anchors).run();
        }
    });
    for (int64_t level = 0; level < count; ++level) {
        const Level& grid = plans[level].level.grid;
        Sums all;
        for (int64_t i = first[level]; i < first[level + 1]; ++i) {
            all.box += sums[i].box;
            all.obj += sums[i].obj;
            all.cls += sums[i].cls;
        }
        const double cells = static_cast<double>(labels.images * grid.anchors * grid.height * grid.width);
        const double row[kLossTerms] = {all.box, static_cast<double>(plans[level].targets.matches), all.obj, cells,
                                        all.cls};
        std::copy(row, row + kLossTerms, terms + level * kLossTerms);
    }
    combine(terms, count, labels.images, settings, whole, parts);
}

void count_matches(const Labels& labels, const Level* levels, int64_t count, double anchor_t, double* matches) {
    for (int64_t i = 0; i < count; ++i) {
        matches[i] = static_cast<double>(Targets(labels, levels[i], static_cast<float>(anchor_t)).matches);
    }
}

}  // namespace yolo::ops
