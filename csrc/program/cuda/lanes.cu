#include "cuda/kernel.h"
#include "cuda/map.h"
#include "program/cuda/epilogue.h"

namespace yolo::program::cuda {
namespace {

template <class T>
struct ClearLanes {
    yolo::cuda::Pixels<T> map;

    YOLO_DEVICE void operator()(int64_t pixel) const {
        for (int64_t lane = map.channels; lane < map.lanes; ++lane) *map.at(pixel, lane) = yolo::cuda::rounded<T>(0.0f);
    }
};

}  // namespace

void clear_lanes(const yolo::cuda::Map& target, yolo::cuda::Stream stream) {
    yolo::cuda::with_type(target.number, [&](auto type) {
        yolo::cuda::each(stream, target.pixels(), ClearLanes<decltype(type)>{yolo::cuda::Pixels<decltype(type)>(target)});
    });
}

}  // namespace yolo::program::cuda
