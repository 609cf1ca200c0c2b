// Device memory that executors of different shapes use in turn, so that many shapes cost no more than the largest.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>

#include "cuda/device.h"

namespace yolo::program::cuda {

// Each part is as large as its largest user needed so far. A part that grew leaves the old one to those that have it,
// so let the largest come first.
class Memory {
public:
    class Part {
    public:
        std::shared_ptr<yolo::cuda::DeviceBuffer> of(size_t bytes) {
            if (!buffer_ || buffer_->bytes() < bytes) buffer_ = std::make_shared<yolo::cuda::DeviceBuffer>(bytes);
            return buffer_;
        }
        size_t bytes() const { return buffer_ ? buffer_->bytes() : 0; }

    private:
        std::shared_ptr<yolo::cuda::DeviceBuffer> buffer_;
    };

    Part maps, workspace, heads;
    // Held by who gives work that uses the memory, until that is done.
    std::mutex mutex;
    // The executor whose forward pass left its feature maps here, until its backward pass has used them.
    const void* holder = nullptr;

    size_t bytes() const { return maps.bytes() + workspace.bytes() + heads.bytes(); }
};

}  // namespace yolo::program::cuda
