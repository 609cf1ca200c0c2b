// One axis of each form in which winograd.h computes 3x3 convolutions; see lanes.h for the linkage.
//
// Outputs of a tile, pixels between two of them, inputs of a tile and the points that it has. Of stride 2, taps 0 and 2
// meet even inputs alone, as a filter of two taps, F(tile, 2); tap 1 meets odd ones, a product for each output.
#pragma once

#include "program/kernels/winograd_transforms.h"

namespace {

struct F4 {
    static constexpr int64_t tile = kTile, stride = 1, inputs = kInputs, points = kInputs;
    static inline void forth(const Floats* d, Floats* t) { to_points(d, t); }
    static inline void back(const Floats* m, Floats* y) { from_points(m, y); }
};

// F(4, 2) at 0, 1, -1, 2 and infinity.
struct F4Stride2 {
    static constexpr int64_t tile = 4, stride = 2, inputs = 9, points = 9;
    static inline void forth(const Floats* d, Floats* t) {
        const Floats a = d[6] - d[2], b = d[4] + d[4];
        t[0] = 2.0f * d[0] - d[2] + (d[6] - b);
        t[1] = d[6] - d[4] - 2.0f * d[2];
        t[2] = d[6] - 3.0f * d[4] + 2.0f * d[2];
        t[3] = a;
        t[4] = d[8] - d[4] - 2.0f * a;
        t[5] = d[1];
        t[6] = d[3];
        t[7] = d[5];
        t[8] = d[7];
    }
    static inline void back(const Floats* m, Floats* y) {
        const Floats s = m[1] + m[2], d = m[1] - m[2];
        y[0] = m[0] + s + m[3] + m[5];
        y[1] = d + 2.0f * m[3] + m[6];
        y[2] = s + 4.0f * m[3] + m[7];
        y[3] = d + 8.0f * m[3] + m[4] + m[8];
    }
};

// F(2, 2) at 0, 1 and infinity.
struct F2Stride2 {
    static constexpr int64_t tile = 2, stride = 2, inputs = 5, points = 5;
    static inline void forth(const Floats* d, Floats* t) {
        t[0] = d[0] - d[2];
        t[1] = d[2];
        t[2] = d[4] - d[2];
        t[3] = d[1];
        t[4] = d[3];
    }
    static inline void back(const Floats* m, Floats* y) {
        y[0] = m[0] + m[1] + m[3];
        y[1] = m[1] + m[2] + m[4];
    }
};

}  // namespace
