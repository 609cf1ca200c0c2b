// The end of a detector: raw heads in, detections out.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/nms.h"
#include "program/common/timed_runnable.h"
#include "program/detection/level.h"

namespace yolo::program {

// inputs: one raw head a level, float32 [batch, anchors * (5 + classes), h, w], of one network or several; with `places`
// then also float32 [batch, places, 5] (class; x, y, w, h in pixels) and their counts, int32 [batch]: boxes that are
// known, which take part in the suppression as sure of their class;
// outputs: float32 [batch, max_det, 6] (x1, y1, x2, y2, confidence, class; pixels of the network's input; best first,
// zeros after the last), int32 [batch] counts.
// Decoding (YOLOv5): t = sigmoid(raw); xy = (2t - 0.5 + cell) * stride; wh = (2t)^2 * anchor.
class DetectionHead : public TimedRunnable {
public:
    // Raises std::invalid_argument for levels, classes and settings that do not fit one another.
    DetectionHead(std::vector<Level> levels, int64_t classes, int64_t batch, ops::NmsSettings settings, int64_t places = 0);
    int64_t batch() const { return batch_; }
    int64_t classes() const { return classes_; }
    int64_t places() const { return places_; }
    int64_t max_det() const { return settings_.max_det; }
    const std::vector<Level>& levels() const { return levels_; }
    const ops::NmsSettings& settings() const { return settings_; }

private:
    void compute(const void* const* inputs, void* const* outputs) override;
    void candidates(const float* head, const Level& level, std::vector<float>& rows) const;
    void known(const float* boxes, int32_t count, std::vector<float>& rows) const;
    void detect_image(const void* const* inputs, int64_t number, float* detections, int32_t* count) const;

    std::vector<Level> levels_;
    int64_t classes_;
    int64_t batch_;
    ops::NmsSettings settings_;
    int64_t places_;
};

// The same for decoded predictions: inputs[0] float32 [batch, rows, 5 + classes].
class Nms : public TimedRunnable {
public:
    // Raises as DetectionHead does.
    Nms(int64_t batch, int64_t rows, int64_t classes, ops::NmsSettings settings);

    int64_t batch() const { return batch_; }
    int64_t max_det() const { return settings_.max_det; }
    int64_t numbers() const { return batch_ * rows_ * (5 + classes_); }

private:
    void compute(const void* const* inputs, void* const* outputs) override;

    int64_t batch_, rows_, classes_;
    ops::NmsSettings settings_;
};

}  // namespace yolo::program
