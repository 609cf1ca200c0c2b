// Between 4 x 4 tiles of outputs and the 36 points of F(4x4, 3x3), in one direction at a time; see lanes.h for the linkage.
#pragma once

#include "program/kernels/lanes.h"

namespace {

constexpr int64_t kTile = 4, kInputs = 6;

// B'd.
inline void to_points(const Floats* d, Floats* t) {
    const Floats a = d[4] - 4.0f * d[2], b = d[3] - 4.0f * d[1], c = d[4] - d[2], e = 2.0f * (d[3] - d[1]);
    t[0] = 4.0f * d[0] + (d[4] - 5.0f * d[2]);
    t[1] = a + b;
    t[2] = a - b;
    t[3] = c + e;
    t[4] = c - e;
    t[5] = 4.0f * d[1] + (d[5] - 5.0f * d[3]);
}

// A'm.
inline void from_points(const Floats* m, Floats* y) {
    const Floats s = m[1] + m[2], d = m[1] - m[2], p = m[3] + m[4], q = m[3] - m[4];
    y[0] = m[0] + s + p;
    y[1] = d + 2.0f * q;
    y[2] = s + 4.0f * p;
    y[3] = d + 8.0f * q + m[5];
}

}  // namespace
