// Gradients of pools and upsampling: each pixel of the source's gathers what it gets, in the order of the target's
// rows.
#include "cuda/kernel.h"
#include "program/cuda/accumulate.h"
#include "program/cuda/cells.h"
#include "program/cuda/resample.h"
#include "program/cuda/sum.h"
#include "program/cuda/windows.h"

namespace yolo::program::cuda {
namespace {

using yolo::cuda::each;
using yolo::cuda::kPack;
using yolo::cuda::Map;
using yolo::cuda::Number;
using yolo::cuda::Pack;
using yolo::cuda::Pixels;
using yolo::cuda::store;
using yolo::cuda::Stream;
using yolo::cuda::with_type;

// In all of these a thread makes one pack of the source's gradient.
template <class From, class To>
struct Gradients {
    Sum<From> given;
    int64_t height, width;  // of the target
    Pixels<To> made;
    Cells cells;
    Window window;

    Gradients(const std::vector<Map>& gradients, const Map& source, const Window& w)
        : given(gradients), height(gradients[0].height), width(gradients[0].width), made(source), cells(source),
          window(w) {}
    YOLO_DEVICE Touching rows(const Cell& cell) const {
        return touching(static_cast<int>(cell.y), static_cast<int>(height), window);
    }
    YOLO_DEVICE Touching columns(const Cell& cell) const {
        return touching(static_cast<int>(cell.x), static_cast<int>(width), window);
    }
    YOLO_DEVICE int64_t pixel(const Cell& cell, int64_t i, int64_t j) const {
        return (cell.image * height + i) * width + j;
    }
    YOLO_DEVICE void keep(const Cell& cell, const Pack& sum) const { store(made.at(cell.pixel, cell.channel), sum); }
};

YOLO_DEVICE Pack zeros() {
    Pack pack;
    for (int k = 0; k < kPack; ++k) pack.values[k] = 0.0f;
    return pack;
}

template <class From, class To, class Place>
struct MaxPoolBackward {
    Gradients<From, To> gradients;
    const Place* places;
    int64_t pitch;

    YOLO_DEVICE void operator()(int64_t number) const {
        const Cell cell = gradients.cells.at(number);
        const Window& w = gradients.window;
        const Touching rows = gradients.rows(cell), columns = gradients.columns(cell);
        Pack sum = zeros();
        for (int i = rows.begin; i < rows.end; ++i) {
            const int row = (static_cast<int>(cell.y) + w.padding - i * w.stride) * w.kernel;
            for (int j = columns.begin; j < columns.end; ++j) {
                const int place = row + static_cast<int>(cell.x) + w.padding - j * w.stride;
                const int64_t pixel = gradients.pixel(cell, i, j);
                const Packed<Place> kept = packed(places + pixel * pitch + cell.channel);
                bool any = false;
                for (int k = 0; k < kPack; ++k) any = any || kept.values[k] == place;
                if (!any) continue;
                const Pack gradient = gradients.given.at(pixel, cell.channel);
                for (int k = 0; k < kPack; ++k) sum.values[k] += kept.values[k] == place ? gradient.values[k] : 0.0f;
            }
        }
        gradients.keep(cell, sum);
    }
};

template <class From, class To>
struct AveragePoolBackward {
    Gradients<From, To> gradients;

    YOLO_DEVICE void operator()(int64_t number) const {
        const Cell cell = gradients.cells.at(number);
        const Touching rows = gradients.rows(cell), columns = gradients.columns(cell);
        const float kernel = static_cast<float>(gradients.window.kernel), area = kernel * kernel;
        Pack sum = zeros();
        for (int i = rows.begin; i < rows.end; ++i) {
            for (int j = columns.begin; j < columns.end; ++j) {
                const Pack gradient = gradients.given.at(gradients.pixel(cell, i, j), cell.channel);
                for (int k = 0; k < kPack; ++k) sum.values[k] += gradient.values[k] / area;
            }
        }
        gradients.keep(cell, sum);
    }
};

template <class From, class To>
struct UpsampleBackward {
    Gradients<From, To> gradients;

    YOLO_DEVICE void operator()(int64_t number) const {
        const Cell cell = gradients.cells.at(number);
        const int scale = gradients.window.stride;
        Pack sum = zeros();
        for (int i = 0; i < scale; ++i) {
            for (int j = 0; j < scale; ++j) {
                const int64_t pixel = gradients.pixel(cell, cell.y * scale + i, cell.x * scale + j);
                const Pack gradient = gradients.given.at(pixel, cell.channel);
                for (int k = 0; k < kPack; ++k) sum.values[k] += gradient.values[k];
            }
        }
        gradients.keep(cell, sum);
    }
};

// The pixels that are made of pixel `at`: their centres are less than one pixel from it.
YOLO_DEVICE Touching made_of(int at, int made, int scale) {
    const int begin = at * scale - scale / 2, end = (at + 1) * scale + scale / 2;
    return {begin < 0 ? 0 : begin, end < made ? end : made};
}

// How much of one of them pixel `at` is.
YOLO_DEVICE float share_of(int at, const Blend& blend) {
    return (blend.low == at ? 1.0f - blend.share : 0.0f) + (blend.high == at ? blend.share : 0.0f);
}

template <class From, class To>
struct BilinearBackward {
    Gradients<From, To> gradients;

    YOLO_DEVICE void operator()(int64_t number) const {
        const Cell cell = gradients.cells.at(number);
        const int y = static_cast<int>(cell.y), x = static_cast<int>(cell.x), scale = gradients.window.stride;
        const int height = static_cast<int>(gradients.made.height), width = static_cast<int>(gradients.made.width);
        const Touching rows = made_of(y, static_cast<int>(gradients.height), scale);
        const Touching columns = made_of(x, static_cast<int>(gradients.width), scale);
        Pack sum = zeros();
        for (int i = rows.begin; i < rows.end; ++i) {
            const float down = share_of(y, blend(i, height, scale));
            if (down == 0.0f) continue;
            for (int j = columns.begin; j < columns.end; ++j) {
                const float share = down * share_of(x, blend(j, width, scale));
                if (share == 0.0f) continue;
                const Pack gradient = gradients.given.at(gradients.pixel(cell, i, j), cell.channel);
                for (int k = 0; k < kPack; ++k) sum.values[k] += gradient.values[k] * share;
            }
        }
        gradients.keep(cell, sum);
    }
};

// Whether several pixels of the source ask for the same pixel of the gradient, so that its sum is made once, before.
bool asked_twice(Resampling method, const Window& window) {
    return method == Resampling::bilinear || (method != Resampling::upsample && window.stride < window.kernel);
}

Map sum_map(const Map& gradient, float* scratch) {
    Map sum = gradient;
    sum.data = scratch, sum.number = Number::float32, sum.pitch = sum.lanes();
    return sum;
}

template <class From, class To>
void max_pool_backward(const Gradients<From, To>& gradients, const Places& places, int64_t count, Stream stream) {
    if (places.bytes == 1) {
        using Kernel = MaxPoolBackward<From, To, uint8_t>;
        return each(stream, count, Kernel{gradients, static_cast<const uint8_t*>(places.data), places.pitch});
    }
    using Kernel = MaxPoolBackward<From, To, uint16_t>;
    each(stream, count, Kernel{gradients, static_cast<const uint16_t*>(places.data), places.pitch});
}

template <class From, class To>
void gather(Resampling method, const Gradients<From, To>& gradients, const Places& places, int64_t count,
            Stream stream) {
    switch (method) {
        case Resampling::max_pool: return max_pool_backward(gradients, places, count, stream);
        case Resampling::average_pool: return each(stream, count, AveragePoolBackward<From, To>{gradients});
        case Resampling::upsample: return each(stream, count, UpsampleBackward<From, To>{gradients});
        case Resampling::bilinear: return each(stream, count, BilinearBackward<From, To>{gradients});
    }
}

}  // namespace

size_t resample_backward_scratch_bytes(Resampling method, const std::vector<Map>& gradients, const Window& window) {
    if (gradients.size() == 1 || !asked_twice(method, window)) return 0;
    return static_cast<size_t>(gradients[0].packs() * kPack) * sizeof(float);
}

void resample_backward(Resampling method, const std::vector<Map>& gradients, const Map& source_gradient,
                       const Window& window, const Places& places, float* scratch, Stream stream) {
    const int64_t count = source_gradient.packs();
    const bool summed = resample_backward_scratch_bytes(method, gradients, window) > 0;
    if (summed) accumulate(gradients, sum_map(gradients[0], scratch), stream);
    with_type(source_gradient.number, [&](auto type) {
        using T = decltype(type);
        if (summed) {
            const Gradients<float, T> sum({sum_map(gradients[0], scratch)}, source_gradient, window);
            return gather(method, sum, places, count, stream);
        }
        gather(method, Gradients<T, T>(gradients, source_gradient, window), places, count, stream);
    });
}

}  // namespace yolo::program::cuda
