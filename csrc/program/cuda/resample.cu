#include "program/cuda/resample.h"

#include "cuda/kernel.h"
#include "program/cuda/cells.h"
#include "program/cuda/windows.h"

namespace yolo::program::cuda {
namespace {

using yolo::cuda::each;
using yolo::cuda::kPack;
using yolo::cuda::load;
using yolo::cuda::Map;
using yolo::cuda::Pack;
using yolo::cuda::Pixels;
using yolo::cuda::store;
using yolo::cuda::Stream;
using yolo::cuda::with_type;

// In all of these a thread makes one pack of the target. Windows overlap in the nearest cache.
template <class T>
struct Planes {
    Pixels<T> source, target;
    Cells cells;
    Window window;

    Planes(const Map& from, const Map& to, const Window& w) : source(from), target(to), cells(to), window(w) {}
    YOLO_DEVICE const T* from(const Cell& cell, int64_t y, int64_t x) const {
        return source.at(cell.image, y, x, cell.channel);
    }
    YOLO_DEVICE T* to(const Cell& cell) const { return target.at(cell.pixel, cell.channel); }
    YOLO_DEVICE Reach rows(const Cell& cell) const {
        return reach(static_cast<int>(cell.y), static_cast<int>(source.height), window);
    }
    YOLO_DEVICE Reach columns(const Cell& cell) const {
        return reach(static_cast<int>(cell.x), static_cast<int>(source.width), window);
    }
};

YOLO_DEVICE Pack all(float value) {
    Pack pack;
    for (int k = 0; k < kPack; ++k) pack.values[k] = value;
    return pack;
}

constexpr uint32_t kMinusInfinity = 0xff800000u;

// For a forward pass that no backward pass follows.
template <class T>
struct MaxPool {
    Planes<T> planes;

    YOLO_DEVICE void operator()(int64_t i) const {
        const Cell cell = planes.cells.at(i);
        const Reach rows = planes.rows(cell), columns = planes.columns(cell);
        Pack most = all(yolo::cuda::float_of(kMinusInfinity));
        for (int r = rows.begin; r < rows.end; ++r) {
            const T* const line = planes.from(cell, rows.origin + r, columns.origin);
            for (int c = columns.begin; c < columns.end; ++c) {
                const Pack pack = load(line + c * planes.source.pitch);
                for (int k = 0; k < kPack; ++k) {
                    most.values[k] = pack.values[k] > most.values[k] ? pack.values[k] : most.values[k];
                }
            }
        }
        store(planes.to(cell), most);
    }
};

// Place: uint8_t or uint16_t.
template <class T, class Place>
struct MaxPoolWithPlaces {
    Planes<T> planes;
    Place* places;
    int64_t pitch;

    YOLO_DEVICE void operator()(int64_t i) const {
        const Cell cell = planes.cells.at(i);
        const Reach rows = planes.rows(cell), columns = planes.columns(cell);
        Pack most = all(yolo::cuda::float_of(kMinusInfinity));
        const int kernel = planes.window.kernel, first = rows.begin * kernel + columns.begin;
        int found[kPack];
        for (int k = 0; k < kPack; ++k) found[k] = first;
        for (int r = rows.begin; r < rows.end; ++r) {
            const T* const line = planes.from(cell, rows.origin + r, columns.origin);
            for (int c = columns.begin; c < columns.end; ++c) {
                const Pack pack = load(line + c * planes.source.pitch);
                for (int k = 0; k < kPack; ++k) {
                    const bool more = pack.values[k] > most.values[k];
                    most.values[k] = more ? pack.values[k] : most.values[k];
                    found[k] = more ? r * kernel + c : found[k];
                }
            }
        }
        store(planes.to(cell), most);
        Packed<Place> kept;
        for (int k = 0; k < kPack; ++k) kept.values[k] = static_cast<Place>(found[k]);
        put(places + cell.pixel * pitch + cell.channel, kept);
    }
};

template <class T>
struct AveragePool {
    Planes<T> planes;

    YOLO_DEVICE void operator()(int64_t i) const {
        const Cell cell = planes.cells.at(i);
        const Reach rows = planes.rows(cell), columns = planes.columns(cell);
        const float area = static_cast<float>(planes.window.kernel) * static_cast<float>(planes.window.kernel);
        Pack sum = all(0.0f);
        for (int r = rows.begin; r < rows.end; ++r) {
            const T* const line = planes.from(cell, rows.origin + r, columns.origin);
            for (int c = columns.begin; c < columns.end; ++c) {
                const Pack pack = load(line + c * planes.source.pitch);
                for (int k = 0; k < kPack; ++k) sum.values[k] += pack.values[k];
            }
        }
        for (int k = 0; k < kPack; ++k) sum.values[k] /= area;
        store(planes.to(cell), sum);
    }
};

// The nearest pixel.
template <class T>
struct Upsample {
    Planes<T> planes;
    Divisor scale;

    YOLO_DEVICE void operator()(int64_t i) const {
        const Cell cell = planes.cells.at(i);
        put(planes.to(cell), packed(planes.from(cell, scale.quotient(cell.y), scale.quotient(cell.x))));
    }
};

template <class T>
struct Bilinear {
    Planes<T> planes;

    YOLO_DEVICE Pack line(const Cell& cell, int row, const Blend& columns) const {
        Pack left = load(planes.from(cell, row, columns.low));
        const Pack right = load(planes.from(cell, row, columns.high));
        for (int k = 0; k < kPack; ++k) {
            left.values[k] = left.values[k] * (1.0f - columns.share) + right.values[k] * columns.share;
        }
        return left;
    }
    YOLO_DEVICE void operator()(int64_t i) const {
        const Cell cell = planes.cells.at(i);
        const int scale = planes.window.stride;
        const Blend rows = blend(static_cast<int>(cell.y), static_cast<int>(planes.source.height), scale);
        const Blend columns = blend(static_cast<int>(cell.x), static_cast<int>(planes.source.width), scale);
        Pack up = line(cell, rows.low, columns);
        const Pack down = line(cell, rows.high, columns);
        for (int k = 0; k < kPack; ++k) {
            up.values[k] = up.values[k] * (1.0f - rows.share) + down.values[k] * rows.share;
        }
        store(planes.to(cell), up);
    }
};

template <class T>
void max_pool(const Planes<T>& planes, const Places& places, int64_t count, Stream stream) {
    if (places.data == nullptr) return each(stream, count, MaxPool<T>{planes});
    if (places.bytes == 1) {
        return each(stream, count,
                    MaxPoolWithPlaces<T, uint8_t>{planes, static_cast<uint8_t*>(places.data), places.pitch});
    }
    each(stream, count, MaxPoolWithPlaces<T, uint16_t>{planes, static_cast<uint16_t*>(places.data), places.pitch});
}

}  // namespace

void resample(Resampling method, const Map& source, const Map& target, const Window& window, const Places& places,
              Stream stream) {
    with_type(source.number, [&](auto type) {
        using T = decltype(type);
        const Planes<T> planes(source, target, window);
        const int64_t count = target.packs();
        switch (method) {
            case Resampling::max_pool: return max_pool(planes, places, count, stream);
            case Resampling::average_pool: return each(stream, count, AveragePool<T>{planes});
            case Resampling::upsample: return each(stream, count, Upsample<T>{planes, Divisor(window.stride)});
            case Resampling::bilinear: return each(stream, count, Bilinear<T>{planes});
        }
    });
}

}  // namespace yolo::program::cuda
