// What gives the raw heads of images.
#pragma once

#include <cstdint>
#include <functional>
#include <numeric>
#include <vector>

#include "program/common/plan.h"
#include "program/common/runnable.h"
#include "program/cpu/memory.h"

namespace yolo::program {

// Numbers of one image in an array of this shape.
inline int64_t numbers_an_image(const Numbers& shape) {
    return std::accumulate(shape.begin() + 1, shape.end(), int64_t{1}, std::multiplies<>());
}

// inputs: images uint8 [B, C, H, W]; outputs: heads float32 [B, c, h, w].
class Network : public Runnable {
public:
    virtual const Numbers& images() const = 0;
    virtual const std::vector<Numbers>& heads() const = 0;
    // Whether images are all that it takes.
    virtual bool infers() const = 0;
    // Where its readers may keep the heads, under the lock of `step`.
    virtual Memory& memory() const = 0;
};

}  // namespace yolo::program
