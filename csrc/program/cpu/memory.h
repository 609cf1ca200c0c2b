// Memory that executors of different shapes use in turn, so that many shapes cost no more than the largest.
#pragma once

#include <memory>
#include <mutex>

#include "program/common/buffer.h"

namespace yolo::program {

// Each part is as large as its largest user needed so far. A part that grew leaves the old one to those that have it,
// so let the largest come first.
class Memory {
public:
    class Part {
    public:
        std::shared_ptr<Buffer> of(size_t bytes) {
            if (!buffer_ || buffer_->bytes() < bytes) buffer_ = std::make_shared<Buffer>(bytes);
            return buffer_;
        }
        size_t bytes() const { return buffer_ ? buffer_->bytes() : 0; }

    private:
        std::shared_ptr<Buffer> buffer_;
    };

    Part maps, workspace, heads;
    std::mutex mutex;
    // Held from a forward pass to the end of its backward pass by who runs both.
    std::mutex step;
    // The executor whose forward pass left its feature maps here, until its backward pass has used them.
    const void* holder = nullptr;

    size_t bytes() const { return maps.bytes() + workspace.bytes() + heads.bytes(); }
};

}  // namespace yolo::program
