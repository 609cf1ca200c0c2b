// Maps of one shape as one: the sum of their numbers, in float32 and always in the same order.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/map.h"
#include "program/common/kinds.h"

namespace yolo::program::cuda {

// Between 1 and kMostSources maps, all of numbers T.
template <class T>
struct Sum {
    const T* data[kMostSources];
    int64_t pitch[kMostSources];
    int count;

    explicit Sum(const std::vector<yolo::cuda::Map>& maps) : data{}, pitch{}, count(static_cast<int>(maps.size())) {
        for (size_t i = 0; i < maps.size(); ++i) {
            data[i] = static_cast<const T*>(maps[i].data);
            pitch[i] = maps[i].pitch;
        }
    }
    YOLO_DEVICE yolo::cuda::Pack at(int64_t pixel, int64_t channel) const {
        yolo::cuda::Pack sum = yolo::cuda::load(data[0] + pixel * pitch[0] + channel);
        for (int i = 1; i < count; ++i) {
            const yolo::cuda::Pack more = yolo::cuda::load(data[i] + pixel * pitch[i] + channel);
            for (int k = 0; k < yolo::cuda::kPack; ++k) sum.values[k] += more.values[k];
        }
        return sum;
    }
};

}  // namespace yolo::program::cuda
