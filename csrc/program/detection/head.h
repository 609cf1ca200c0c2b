// The end of a detector: raw heads in, detections out.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "ops/nms.h"
#include "program/common/runnable.h"

namespace yolo::program {

// One level of the network's output.
struct Level {
    int64_t height, width;
    float stride;                // pixels a cell
    std::vector<float> anchors;  // width and height of each, pixels
    // Of the image that this level has seen, where it was not the one whose pixels are wanted: how much larger it
    // was, and, where it was mirrored, the wanted image's width.
    float scale = 1.0f;
    float mirror = 0.0f;
};

// What detections are kept. `wanted` has one flag a class, or is empty for all.
struct NmsSettings {
    float conf;
    double iou;
    int64_t max_det;
    int64_t max_candidates;
    bool agnostic;
    bool multi_label;
    std::vector<uint8_t> wanted;

    // Raises std::invalid_argument for numbers that mean nothing for images of so many predictions of `classes` classes.
    void check(double rows, int64_t classes) const;
    ops::NmsOptions options() const {
        return {conf, iou, max_det, max_candidates, agnostic, multi_label, wanted.empty() ? nullptr : wanted.data()};
    }
};

// What ends with non-maximum suppression, and knows how long its last run took.
class Suppression : public Runnable {
public:
    void run(const void* const* inputs, void* const* outputs) final;
    double seconds() const { return seconds_.load(); }

private:
    virtual void suppress(const void* const* inputs, void* const* outputs) const = 0;

    std::atomic<double> seconds_{0.0};
};

// inputs: one raw head a level, float32 [batch, anchors * (5 + classes), h, w], of one network or several; with `places`
// then also float32 [batch, places, 5] (class; x, y, w, h in pixels) and their counts, int32 [batch]: boxes that are
// known, which take part in the suppression as sure of their class;
// outputs: float32 [batch, max_det, 6] (x1, y1, x2, y2, confidence, class; pixels of the network's input; best first,
// zeros after the last), int32 [batch] counts.
// Decoding (YOLOv5): t = sigmoid(raw); xy = (2t - 0.5 + cell) * stride; wh = (2t)^2 * anchor.
class DetectionHead : public Suppression {
public:
    // Raises std::invalid_argument for levels, classes and settings that do not fit one another.
    DetectionHead(std::vector<Level> levels, int64_t classes, int64_t batch, NmsSettings settings, int64_t places = 0);
    int64_t batch() const { return batch_; }
    int64_t places() const { return places_; }
    int64_t max_det() const { return settings_.max_det; }
    const std::vector<Level>& levels() const { return levels_; }
    int64_t columns() const { return 5 + classes_; }

private:
    void suppress(const void* const* inputs, void* const* outputs) const override;
    void candidates(const float* head, const Level& level, std::vector<float>& rows) const;
    void known(const float* boxes, int32_t count, std::vector<float>& rows) const;
    void detect_image(const void* const* inputs, int64_t number, float* detections, int32_t* count) const;

    std::vector<Level> levels_;
    int64_t classes_;
    int64_t batch_;
    NmsSettings settings_;
    int64_t places_;
};

// The same for decoded predictions: inputs[0] float32 [batch, rows, 5 + classes].
class Nms : public Suppression {
public:
    // Raises as DetectionHead does.
    Nms(int64_t batch, int64_t rows, int64_t classes, NmsSettings settings);

private:
    void suppress(const void* const* inputs, void* const* outputs) const override;

    int64_t batch_, rows_, classes_;
    NmsSettings settings_;
};

}  // namespace yolo::program
