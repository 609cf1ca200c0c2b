// Non-maximum suppression as YOLOv5 does it, for a batch of images.
#pragma once

#include <cstdint>
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

// predictions: images x rows x (5 + classes): x, y, w, h, objectness, class scores.
// detections: images x max_det x 6: x1, y1, x2, y2, score, class; best first, zeros after counts[image].
// Requires rows * classes < 2^32.
void nms(const float* predictions, int64_t images, int64_t rows, int64_t classes, const NmsSettings& settings,
         float* detections, int32_t* counts);

}  // namespace yolo::ops
