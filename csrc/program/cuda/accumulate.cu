#include "program/cuda/accumulate.h"

#include "cuda/kernel.h"
#include "program/cuda/cells.h"
#include "program/cuda/sum.h"

namespace yolo::program::cuda {
namespace {

template <class From, class To>
struct Accumulate {
    Sum<From> sources;
    yolo::cuda::Pixels<To> target;
    Cells cells;

    YOLO_DEVICE void operator()(int64_t i) const {
        const int64_t pixel = cells.pixel(i), channel = cells.channel(i, pixel);
        yolo::cuda::store(target.at(pixel, channel), sources.at(pixel, channel));
    }
};

template <class From, class To>
void add_up(const std::vector<yolo::cuda::Map>& sources, const yolo::cuda::Map& target, yolo::cuda::Stream stream) {
    const yolo::cuda::Pixels<To> pixels(target);
    yolo::cuda::each(stream, target.packs(), Accumulate<From, To>{Sum<From>(sources), pixels, Cells(target)});
}

}  // namespace

void accumulate(const std::vector<yolo::cuda::Map>& sources, const yolo::cuda::Map& target,
                yolo::cuda::Stream stream) {
    with_type(sources[0].number, [&](auto type) {
        using T = decltype(type);
        if (target.number == yolo::cuda::Number::float32) return add_up<T, float>(sources, target, stream);
        add_up<T, T>(sources, target, stream);
    });
}

}  // namespace yolo::program::cuda
