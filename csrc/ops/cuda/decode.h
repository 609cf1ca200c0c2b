// The end of a detector on a device: raw heads in, detections out, as program::DetectionHead gives them.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/cuda/nms.h"

namespace yolo::ops::cuda {

// A level of a network's output: float32 [images, anchors * (5 + classes), height, width] on the device.
struct HeadLevel {
    const float* head;
    int64_t height, width;
    float stride;                // pixels a cell
    std::vector<float> anchors;  // width and height of each, pixels
    // Of the image that this level has seen, where it was not the one whose pixels are wanted: how much larger it
    // was, and, where it was mirrored, the wanted image's width.
    float scale = 1.0f, mirror = 0.0f;

    int64_t rows() const { return height * width * static_cast<int64_t>(anchors.size() / 2); }
};

// Boxes that are known, which take part as sure of their class: float32 [images, places, 5] (class; x, y, w, h in
// pixels) and their counts, int32 [images], on the device.
struct KnownBoxes {
    const float* boxes = nullptr;
    const int32_t* counts = nullptr;
    int64_t places = 0;
};

// The predictions of an image: `rows` of its NmsProblem.
int64_t rows_of(const std::vector<HeadLevel>& levels, const KnownBoxes& known);

// Decoding (YOLOv5): t = sigmoid(raw); xy = (2t - 0.5 + cell) * stride; wh = (2t)^2 * anchor. Then as nms().
void detect(const NmsProblem& problem, const std::vector<HeadLevel>& levels, const KnownBoxes& known, float* detections,
            int32_t* counts, void* scratch, yolo::cuda::Stream stream);

}  // namespace yolo::ops::cuda
