// The detection loss of raw heads, for graphs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "ops/loss.h"
#include "program/common/runnable.h"
#include "program/detection/level.h"

namespace yolo::program {

// YOLOv5's loss with what it needs to know of a network and a recipe.
class DetectionLoss {
public:
    // Raises std::invalid_argument for settings that mean nothing.
    DetectionLoss(std::vector<Level> levels, int64_t classes, ops::LossSettings settings);

    // heads: float32 [batch, anchors * (5 + classes), h, w] a level; labels: float32 [batch, places, 5]; counts: int32
    // [batch]; gradients: as heads, or nullptr; terms: [levels, 5] and parts: [4] as ops::detection_loss gives them.
    void compute(const float* const* heads, const float* labels, const int32_t* counts, int64_t batch, int64_t places,
                 float* const* gradients, double* terms, float* parts, const ops::Whole& whole = {}) const;
    // Matches a level: float64 [levels].
    void count(const float* labels, const int32_t* counts, int64_t batch, int64_t places, double* matches) const;

    size_t levels() const { return levels_.size(); }
    // As settings of an operator on another device: the levels, their anchors in cells, and the rest.
    const Level& level(size_t number) const { return levels_[number]; }
    const std::vector<float>& anchors(size_t number) const { return cells_[number]; }
    int64_t classes() const { return classes_; }
    const ops::LossSettings& settings() const { return settings_; }
    // Values of one image's head.
    int64_t head_size(size_t level) const { return levels_[level].numbers(classes_); }

private:
    ops::Level grid(size_t level) const;

    std::vector<Level> levels_;
    std::vector<std::vector<float>> cells_;  // anchors in cells
    int64_t classes_;
    ops::LossSettings settings_;
};

// inputs: the heads, then labels and counts; outputs: terms, float64 [levels, 5].
class LossTerms : public Runnable {
public:
    LossTerms(DetectionLoss loss, int64_t batch, int64_t places)
        : loss_(std::move(loss)), batch_(batch), places_(places) {}
    void run(const void* const* inputs, void* const* outputs) override;

private:
    DetectionLoss loss_;
    int64_t batch_, places_;
};

// Matches of a rank's part of a batch. inputs: labels, counts; outputs: float64 [levels].
class MatchCount : public Runnable {
public:
    MatchCount(DetectionLoss loss, int64_t batch, int64_t places)
        : loss_(std::move(loss)), batch_(batch), places_(places) {}
    void run(const void* const* inputs, void* const* outputs) override;

private:
    DetectionLoss loss_;
    int64_t batch_, places_;
};

}  // namespace yolo::program
