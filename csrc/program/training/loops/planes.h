// Loops over whole planes: pools and upsampling; see lanes.h for the linkage.
#pragma once

#include "program/training/loops/lanes.h"
#include "program/training/loops/loops.h"

namespace {

using yolo::program::training::Window;

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

template <class T>
void max_pool(const void* x, const Window& w, void* out, uint8_t* index) {
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
            *reinterpret_cast<Bytes*>(index + p * V) = __builtin_convertvector(place, Bytes);
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

inline void clear(float* out, int64_t pixels) {
    for (int64_t p = 0; p < pixels; ++p) save(out + p * V, Floats{});
}

void max_pool_back(const float* gradient, const uint8_t* index, const Window& w, float* out) {
    clear(out, w.height * w.width);
    for (int64_t i = 0; i < w.out_height; ++i) {
        for (int64_t j = 0; j < w.out_width; ++j) {
            const int64_t p = i * w.out_width + j, corner = (i * w.stride - w.padding) * w.width + j * w.stride - w.padding;
            for (int64_t c = 0; c < V; ++c) {
                const int64_t place = index[p * V + c];
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

}  // namespace
