// One axis of each form in which winograd_gradient.h computes; see lanes.h for the linkage.
//
// Each has the taps' way to the points and, for gradients, the ways of winograd_forms.h backwards: transposed.
#pragma once

#include "program/kernels/winograd_forms.h"

namespace {

struct F4Gradient : F4 {
    static constexpr int64_t taps = 3;
    // Gg.
    static inline void weight_points(const Floats* g, Floats* u) {
        const Floats even = g[0] + g[2], odd = g[1] * (1.0f / 12.0f);
        const Floats scaled = g[0] * (1.0f / 24.0f) + g[2] * (1.0f / 6.0f);
        u[0] = g[0] * 0.25f;
        u[1] = (even + g[1]) * (-1.0f / 6.0f);
        u[2] = (even - g[1]) * (-1.0f / 6.0f);
        u[3] = scaled + odd;
        u[4] = scaled - odd;
        u[5] = g[2];
    }
    // G'u.
    static inline void weight_taps(const Floats* u, Floats* g) {
        const Floats s = (u[1] + u[2]) * (1.0f / 6.0f), p = u[3] + u[4];
        g[0] = u[0] * 0.25f - s + p * (1.0f / 24.0f);
        g[1] = (u[2] - u[1]) * (1.0f / 6.0f) + (u[3] - u[4]) * (1.0f / 12.0f);
        g[2] = p * (1.0f / 6.0f) - s + u[5];
    }
    // Ay.
    static inline void gradient_points(const Floats* y, Floats* t) {
        const Floats s = y[0] + y[2], d = y[1] + y[3], p = y[0] + 4.0f * y[2], q = 2.0f * y[1] + 8.0f * y[3];
        t[0] = y[0];
        t[1] = s + d;
        t[2] = s - d;
        t[3] = p + q;
        t[4] = p - q;
        t[5] = y[3];
    }
};

struct F4Stride2Gradient : F4Stride2 {
    static constexpr int64_t taps = 3;
    static inline void weight_points(const Floats* g, Floats* u) {
        u[0] = g[0] * 0.5f;
        u[1] = (g[0] + g[2]) * -0.5f;
        u[2] = (g[2] - g[0]) * (1.0f / 6.0f);
        u[3] = g[0] * (1.0f / 6.0f) + g[2] * (1.0f / 3.0f);
        u[4] = g[2];
        u[5] = u[6] = u[7] = u[8] = g[1];
    }
    static inline void weight_taps(const Floats* u, Floats* g) {
        g[0] = (u[0] - u[1]) * 0.5f + (u[3] - u[2]) * (1.0f / 6.0f);
        g[1] = (u[5] + u[6]) + (u[7] + u[8]);
        g[2] = u[2] * (1.0f / 6.0f) - u[1] * 0.5f + u[3] * (1.0f / 3.0f) + u[4];
    }
    static inline void gradient_points(const Floats* y, Floats* t) {
        const Floats s = y[0] + y[2], d = y[1] + y[3];
        t[0] = y[0];
        t[1] = s + d;
        t[2] = s - d;
        t[3] = (y[0] + 4.0f * y[2]) + (2.0f * y[1] + 8.0f * y[3]);
        t[4] = y[3];
        t[5] = y[0];
        t[6] = y[1];
        t[7] = y[2];
        t[8] = y[3];
    }
};

struct F2Stride2Gradient : F2Stride2 {
    static constexpr int64_t taps = 3;
    static inline void weight_points(const Floats* g, Floats* u) {
        u[0] = g[0];
        u[1] = g[0] + g[2];
        u[2] = g[2];
        u[3] = u[4] = g[1];
    }
    static inline void weight_taps(const Floats* u, Floats* g) {
        g[0] = u[0] + u[1];
        g[1] = u[3] + u[4];
        g[2] = u[1] + u[2];
    }
    static inline void gradient_points(const Floats* y, Floats* t) {
        t[0] = y[0];
        t[1] = y[0] + y[1];
        t[2] = y[1];
        t[3] = y[0];
        t[4] = y[1];
    }
};

// From the outputs' gradients to the inputs' where the stride is 2: with the taps turned round, 0 and 2 make odd inputs'
// of a filter of two taps, F(tile, 2), and tap 1 even ones'. `tile` outputs, with one after them, for twice as many inputs.
template <class F>
struct Spread {
    static constexpr int64_t tile = F::tile, stride = 1, inputs = F::tile + 1, points = F::points, made = 2 * F::tile;
    static inline void forth(const Floats* d, Floats* t) {
        Floats twice[F::inputs];
#pragma GCC unroll 16
        for (int64_t i = 0; i < F::inputs; ++i) twice[i] = d[i / 2];
        F::forth(twice, t);
    }
    static inline void back(const Floats* m, Floats* y) {
        Floats filter[points] = {}, odd[tile];
#pragma GCC unroll 16
        for (int64_t i = 0; i < points - tile; ++i) filter[i] = m[i];
        F::back(filter, odd);
#pragma GCC unroll 16
        for (int64_t i = 0; i < tile; ++i) {
            y[2 * i] = m[points - tile + i];
            y[2 * i + 1] = odd[i];
        }
    }
};

}  // namespace
