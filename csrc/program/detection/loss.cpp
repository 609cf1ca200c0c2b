#include "program/detection/loss.h"

#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

namespace yolo::program {
namespace {

void require(bool fits, const std::string& what) {
    if (!fits) throw std::invalid_argument(what);
}

void check_weight(double value, const std::string& name) {
    require(value >= 0 && std::isfinite(value), name + ": expected 0 or more, got " + std::to_string(value));
}

void check(const ops::LossSettings& settings, size_t levels) {
    check_weight(settings.box, "box");
    check_weight(settings.obj, "obj");
    check_weight(settings.cls, "cls");
    check_weight(settings.cls_pw, "cls_pw");
    check_weight(settings.obj_pw, "obj_pw");
    check_weight(settings.fl_gamma, "fl_gamma");
    for (const double weight : settings.balance) check_weight(weight, "balance");
    require(settings.balance.size() == levels, "balance: expected one number a level");
    require(settings.anchor_t > 0, "anchor_t: expected a number above 0");
    require(settings.label_smoothing >= 0 && settings.label_smoothing <= 1, "label_smoothing: expected 0 to 1");
}

}  // namespace

DetectionLoss::DetectionLoss(std::vector<Level> levels, int64_t classes, ops::LossSettings settings)
    : levels_(std::move(levels)), classes_(classes), settings_(std::move(settings)) {
    check(settings_, levels_.size());
    require(classes >= 1 && !levels_.empty(), "a loss without levels or classes");
    for (const Level& level : levels_) {
        require(level.height >= 1 && level.width >= 1 && level.anchors.size() % 2 == 0, "a level without cells");
        std::vector<float> cells;
        for (const float pixels : level.anchors) cells.push_back(pixels / level.stride);
        cells_.push_back(std::move(cells));
    }
}

void DetectionLoss::compute(const float* const* heads, const float* labels, const int32_t* counts, int64_t batch,
                            int64_t places, float* const* gradients, double* terms, float* parts,
                            const ops::Whole& whole) const {
    std::vector<ops::LossLevel> grids;
    for (size_t i = 0; i < levels_.size(); ++i) {
        grids.push_back({grid(i), heads[i], gradients == nullptr ? nullptr : gradients[i]});
    }
    ops::detection_loss({labels, counts, batch, places}, grids.data(), static_cast<int64_t>(grids.size()), classes_,
                        settings_, terms, parts, whole);
}

void DetectionLoss::count(const float* labels, const int32_t* counts, int64_t batch, int64_t places,
                          double* matches) const {
    std::vector<ops::Level> grids;
    for (size_t i = 0; i < levels_.size(); ++i) grids.push_back(grid(i));
    ops::count_matches({labels, counts, batch, places}, grids.data(), static_cast<int64_t>(grids.size()),
                       settings_.anchor_t, matches);
}

ops::Level DetectionLoss::grid(size_t level) const {
    const Level& l = levels_[level];
    return {cells_[level].data(), static_cast<int64_t>(cells_[level].size() / 2), l.height, l.width};
}

void LossTerms::run(const void* const* inputs, void* const* outputs) {
    std::vector<const float*> heads(loss_.levels());
    for (size_t i = 0; i < heads.size(); ++i) heads[i] = static_cast<const float*>(inputs[i]);
    float parts[ops::kLossParts];
    loss_.compute(heads.data(), static_cast<const float*>(inputs[heads.size()]),
                  static_cast<const int32_t*>(inputs[heads.size() + 1]), batch_, places_, nullptr,
                  static_cast<double*>(outputs[0]), parts);
}

void MatchCount::run(const void* const* inputs, void* const* outputs) {
    loss_.count(static_cast<const float*>(inputs[0]), static_cast<const int32_t*>(inputs[1]), batch_, places_,
                static_cast<double*>(outputs[0]));
}

}  // namespace yolo::program
