// Non-maximum suppression as YOLOv5 does it, for a batch of images.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

namespace yolo::ops {

struct NmsSettings {
    float conf;                   // objectness and score must be greater
    double iou;                   // a box overlapping a better one by more than this is dropped
    int64_t max_det;              // detections kept per image
    int64_t max_candidates;       // best candidates that enter the suppression
    bool agnostic;                // boxes of different classes suppress one another
    bool multi_label;             // every class above conf makes a candidate, not only the best
    std::vector<uint8_t> wanted;  // one flag per class, or none for every class
};

constexpr float kClassOffset = 7680.0f;  // moves the classes apart, so that one pass serves them all

// The greatest float f with f <= threshold: then "iou > f" says the same as comparing in double precision.
inline float round_down(double threshold) {
    const float rounded = static_cast<float>(threshold);
    return rounded > threshold ? std::nextafter(rounded, -std::numeric_limits<float>::max()) : rounded;
}

// A raw number below this cannot be above `conf` after the sigmoid; a little lower than exact, since the comparison
// that counts is made on the sigmoid itself.
inline float raw_threshold(float conf) {
    if (conf <= 0.0f) return -std::numeric_limits<float>::infinity();
    if (conf >= 1.0f) return std::numeric_limits<float>::infinity();
    return std::log(conf / (1.0f - conf)) - 1e-3f;
}

// Raises std::invalid_argument for numbers that mean nothing for images of so many predictions of `classes` classes.
inline void check(const NmsSettings& settings, double rows, int64_t classes) {
    const auto require = [](bool fits, const char* what) {
        if (!fits) throw std::invalid_argument(what);
    };
    require(settings.conf >= 0 && settings.conf <= 1 && settings.iou >= 0 && settings.iou <= 1,
            "conf and iou are numbers from 0 to 1");
    require(settings.max_det >= 1 && settings.max_candidates >= 1, "no detections are to be kept");
    require(classes >= 1, "there are no classes");
    const bool fits = settings.wanted.empty() || static_cast<int64_t>(settings.wanted.size()) == classes;
    require(fits, "the wanted classes are others than the head's");
    require(rows * static_cast<double>(classes) < 4294967296.0, "more predictions than suppression can number");
}

// predictions: images x rows x (5 + classes): x, y, w, h, objectness, class scores.
// detections: images x max_det x 6: x1, y1, x2, y2, score, class; best first, zeros after counts[image].
// Requires rows * classes < 2^32.
void nms(const float* predictions, int64_t images, int64_t rows, int64_t classes, const NmsSettings& settings,
         float* detections, int32_t* counts);

}  // namespace yolo::ops
