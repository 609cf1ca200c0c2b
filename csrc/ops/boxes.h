// Conversions between box forms. Every function takes n boxes of 4 floats; out may be the input itself.
#pragma once

#include <cstdint>

namespace yolo::ops {

struct Size {
    float height, width;
};

struct Shift {
    float x, y;
};

// How an original picture became a network input: scaled by ratio, then shifted by pad.
struct LetterboxMap {
    Size original;
    float ratio_y, ratio_x;
    Shift pad;
};

void xyxy_to_xywh(const float* boxes, int64_t n, float* out);
void xywh_to_xyxy(const float* boxes, int64_t n, float* out);
void xywhn_to_xyxy(const float* boxes, int64_t n, Size size, Shift pad, float* out);
void xyxy_to_xywhn(const float* boxes, int64_t n, Size size, float* out);
void clip_boxes(const float* boxes, int64_t n, Size size, float* out);
void scale_boxes(const float* boxes, int64_t n, const LetterboxMap& letterbox, float* out);

}  // namespace yolo::ops
