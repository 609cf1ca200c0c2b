// Loops over whole planes: pools and upsampling; see lanes.h for the linkage.
#pragma once

#include "program/kernels/lanes.h"
#include "program/kernels/kernels.h"

namespace {

using yolo::program::Window;

// Where a window lies inside the plane, along one axis: places `begin` to `end` of the kernel, at `origin` + place.
struct Reach {
    int64_t origin, begin, end;
};

inline Reach reach(int64_t out, int64_t side, const Window& w) {
    const int64_t origin = out * w.stride - w.padding;
    const int64_t begin = origin < 0 ? -origin : 0;
    const int64_t end = origin + w.kernel > side ? side - origin : w.kernel;
    return {origin, begin, end};
}

// How places of maxima are kept; see Index.
struct BytePlaces {
    using Number = uint8_t;
    using Numbers = Bytes;
};
struct WordPlaces {
    using Number = uint16_t;
    using Numbers = Shorts;
};
struct NoPlaces {};

template <class P>
inline void keep(Ints place, void* index, int64_t p) {
    auto* first = static_cast<typename P::Number*>(index) + p * V;
    *reinterpret_cast<typename P::Numbers*>(first) = __builtin_convertvector(place, typename P::Numbers);
}

template <>
inline void keep<NoPlaces>(Ints, void*, int64_t) {}

template <class T, class P>
void max_pool(const void* x, const Window& w, void* out, void* index) {
    for (int64_t i = 0; i < w.out_height; ++i) {
        const Reach rows = reach(i, w.height, w);
        for (int64_t j = 0; j < w.out_width; ++j) {
            const Reach columns = reach(j, w.width, w);
            Floats most = splat(-__builtin_inff());
            Ints place = Ints{} + static_cast<int32_t>(rows.begin * w.kernel + columns.begin);
            for (int64_t r = rows.begin; r < rows.end; ++r) {
                const int64_t row = (rows.origin + r) * w.width + columns.origin;
                for (int64_t c = columns.begin; c < columns.end; ++c) {
                    const Floats value = load<T>(x, row + c);
                    const Ints more = value > most;
                    most = more ? value : most;
                    place = more ? Ints{} + static_cast<int32_t>(r * w.kernel + c) : place;
                }
            }
            const int64_t p = i * w.out_width + j;
            save<T>(out, p, most);
            keep<P>(place, index, p);
        }
    }
}

template <class T>
void average_pool(const void* x, const Window& w, void* out) {
    const float area = static_cast<float>(w.kernel * w.kernel);
    for (int64_t i = 0; i < w.out_height; ++i) {
        const Reach rows = reach(i, w.height, w);
        for (int64_t j = 0; j < w.out_width; ++j) {
            const Reach columns = reach(j, w.width, w);
            Floats sum{};
            for (int64_t r = rows.begin; r < rows.end; ++r) {
                const int64_t row = (rows.origin + r) * w.width + columns.origin;
                for (int64_t c = columns.begin; c < columns.end; ++c) sum += load<T>(x, row + c);
            }
            save<T>(out, i * w.out_width + j, sum / area);
        }
    }
}

template <class T>
void upsample(const void* x, const Window& w, void* out) {
    for (int64_t i = 0; i < w.out_height; ++i) {
        const int64_t row = i / w.stride * w.width;
        int64_t p = i * w.out_width;
        for (int64_t j = 0; j < w.width; ++j) {
            const Floats value = load<T>(x, row + j);
            for (int64_t c = 0; c < w.stride; ++c) save<T>(out, p++, value);
        }
    }
}

// The two pixels, and the share of the second, of which a pixel is made along one axis.
struct Blend {
    int64_t low, high;
    float share;
};

inline Blend blend(int64_t out, int64_t side, int64_t scale) {
    const float at = (static_cast<float>(out) + 0.5f) / static_cast<float>(scale) - 0.5f;
    if (at <= 0.0f) return {0, 0, 0.0f};
    const auto low = static_cast<int64_t>(at);
    return {low, low + 1 < side ? low + 1 : side - 1, at - static_cast<float>(low)};
}

template <class T>
void bilinear(const void* x, const Window& w, void* out) {
    for (int64_t i = 0; i < w.out_height; ++i) {
        const Blend rows = blend(i, w.height, w.stride);
        const int64_t above = rows.low * w.width, below = rows.high * w.width;
        for (int64_t j = 0; j < w.out_width; ++j) {
            const Blend columns = blend(j, w.width, w.stride);
            const Floats share = splat(columns.share), rest = 1.0f - share;
            const Floats up = load<T>(x, above + columns.low) * rest + load<T>(x, above + columns.high) * share;
            const Floats down = load<T>(x, below + columns.low) * rest + load<T>(x, below + columns.high) * share;
            save<T>(out, i * w.out_width + j, up * (1.0f - rows.share) + down * rows.share);
        }
    }
}

inline void clear(float* out, int64_t pixels) {
    for (int64_t p = 0; p < pixels; ++p) save(out + p * V, Floats{});
}

template <class P>
void max_pool_back(const float* gradient, const void* index, const Window& w, float* out) {
    const auto* places = static_cast<const typename P::Number*>(index);
    clear(out, w.height * w.width);
    for (int64_t i = 0; i < w.out_height; ++i) {
        for (int64_t j = 0; j < w.out_width; ++j) {
            const int64_t p = i * w.out_width + j, corner = (i * w.stride - w.padding) * w.width + j * w.stride - w.padding;
            for (int64_t c = 0; c < V; ++c) {
                const int64_t place = places[p * V + c];
                const int64_t at = corner + place / w.kernel * w.width + place % w.kernel;
                out[at * V + c] += gradient[p * V + c];
            }
        }
    }
}

void average_pool_back(const float* gradient, const Window& w, float* out) {
    const float area = static_cast<float>(w.kernel * w.kernel);
    clear(out, w.height * w.width);
    for (int64_t i = 0; i < w.out_height; ++i) {
        const Reach rows = reach(i, w.height, w);
        for (int64_t j = 0; j < w.out_width; ++j) {
            const Reach columns = reach(j, w.width, w);
            const Floats share = load<Float32>(gradient, i * w.out_width + j) / area;
            for (int64_t r = rows.begin; r < rows.end; ++r) {
                const int64_t row = (rows.origin + r) * w.width + columns.origin;
                for (int64_t c = columns.begin; c < columns.end; ++c) {
                    save(out + (row + c) * V, load<Float32>(out, row + c) + share);
                }
            }
        }
    }
}

void upsample_back(const float* gradient, const Window& w, float* out) {
    for (int64_t i = 0; i < w.height; ++i) {
        for (int64_t j = 0; j < w.width; ++j) {
            Floats sum{};
            for (int64_t r = 0; r < w.stride; ++r) {
                const int64_t p = (i * w.stride + r) * w.out_width + j * w.stride;
                for (int64_t c = 0; c < w.stride; ++c) sum += load<Float32>(gradient, p + c);
            }
            save(out + (i * w.width + j) * V, sum);
        }
    }
}

inline void add_at(float* out, int64_t p, Floats x) { save(out + p * V, load<Float32>(out, p) + x); }

void bilinear_back(const float* gradient, const Window& w, float* out) {
    clear(out, w.height * w.width);
    for (int64_t i = 0; i < w.out_height; ++i) {
        const Blend rows = blend(i, w.height, w.stride);
        const int64_t above = rows.low * w.width, below = rows.high * w.width;
        for (int64_t j = 0; j < w.out_width; ++j) {
            const Blend columns = blend(j, w.width, w.stride);
            const Floats whole = load<Float32>(gradient, i * w.out_width + j);
            const Floats down = whole * rows.share, up = whole - down;
            add_at(out, above + columns.high, up * columns.share);
            add_at(out, above + columns.low, up - up * columns.share);
            add_at(out, below + columns.high, down * columns.share);
            add_at(out, below + columns.low, down - down * columns.share);
        }
    }
}

}  // namespace
