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

}  // namespace

void accumulate(const std::vector<yolo::cuda::Map>& sources, const yolo::cuda::Map& target, yolo::cuda::Stream stream) {
    with_type(sources[0].number, [&](auto from) {
        with_type(target.number, [&](auto to) {
            using Kernel = Accumulate<decltype(from), decltype(to)>;
            yolo::cuda::each(stream, target.packs(),
                             Kernel{Sum<decltype(from)>(sources), yolo::cuda::Pixels<decltype(to)>(target), Cells(target)});
        });
    });
}

}  // namespace yolo::program::cuda
