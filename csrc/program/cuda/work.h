// Work that is given again and again with the same addresses.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "cuda/device.h"

namespace yolo::program::cuda {

// The first time it is given step by step, since a device loads kernels when they are first started; then it is recorded
// and started as a whole, unless it waits for something on its way, as a Group may.
class Work {
public:
    explicit Work(std::function<void(yolo::cuda::Stream)> give, bool recordable = true)
        : give_(std::move(give)), recordable_(recordable) {}

    void start(yolo::cuda::Stream stream) {
        if (!known_ || !recordable_) {
            give_(stream);
            known_ = true;
            return;
        }
        if (!recording_) recording_ = std::make_unique<yolo::cuda::Recording>(give_);
        recording_->start(stream);
    }

private:
    std::function<void(yolo::cuda::Stream)> give_;
    std::unique_ptr<yolo::cuda::Recording> recording_;
    bool recordable_, known_ = false;
};

}  // namespace yolo::program::cuda
