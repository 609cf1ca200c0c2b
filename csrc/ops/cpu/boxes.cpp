#include "ops/boxes.h"

#include <algorithm>

namespace yolo::ops {
namespace {

struct Four {
    float a, b, c, d;
};

template <class Convert>
void each(const float* boxes, int64_t n, float* out, const Convert& convert) {
    for (int64_t i = 0; i < 4 * n; i += 4) {
        const Four result = convert(Four{boxes[i], boxes[i + 1], boxes[i + 2], boxes[i + 3]});
        out[i] = result.a;
        out[i + 1] = result.b;
        out[i + 2] = result.c;
        out[i + 3] = result.d;
    }
}

// NaN stays NaN: both comparisons fail.
float clip(float v, float high) {
    return v < 0.0f ? 0.0f : v > high ? high : v;
}

Four clip(const Four& box, Size size) {
    return {clip(box.a, size.width), clip(box.b, size.height), clip(box.c, size.width), clip(box.d, size.height)};
}

}  // namespace

void xyxy_to_xywh(const float* boxes, int64_t n, float* out) {
    each(boxes, n, out, [](Four p) { return Four{(p.a + p.c) / 2, (p.b + p.d) / 2, p.c - p.a, p.d - p.b}; });
}

void xywh_to_xyxy(const float* boxes, int64_t n, float* out) {
    each(boxes, n, out, [](Four p) { return Four{p.a - p.c / 2, p.b - p.d / 2, p.a + p.c / 2, p.b + p.d / 2}; });
}

void xywhn_to_xyxy(const float* boxes, int64_t n, Size size, Shift pad, float* out) {
    each(boxes, n, out, [size, pad](Four p) {
        return Four{size.width * (p.a - p.c / 2) + pad.x, size.height * (p.b - p.d / 2) + pad.y,
                    size.width * (p.a + p.c / 2) + pad.x, size.height * (p.b + p.d / 2) + pad.y};
    });
}

void xyxy_to_xywhn(const float* boxes, int64_t n, Size size, float* out) {
    each(boxes, n, out, [size](Four p) {
        return Four{(p.a + p.c) / 2 / size.width, (p.b + p.d) / 2 / size.height, (p.c - p.a) / size.width,
                    (p.d - p.b) / size.height};
    });
}

void clip_boxes(const float* boxes, int64_t n, Size size, float* out) {
    each(boxes, n, out, [size](Four p) { return clip(p, size); });
}

void scale_boxes(const float* boxes, int64_t n, const LetterboxMap& letterbox, float* out) {
    each(boxes, n, out, [&letterbox](Four p) {
        const float ratio_x = letterbox.ratio_x, ratio_y = letterbox.ratio_y;
        const Shift pad = letterbox.pad;
        return clip(
            Four{(p.a - pad.x) / ratio_x, (p.b - pad.y) / ratio_y, (p.c - pad.x) / ratio_x, (p.d - pad.y) / ratio_y},
            letterbox.original);
    });
}

}  // namespace yolo::ops
