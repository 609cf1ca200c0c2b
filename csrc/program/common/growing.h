// A piece of memory that users of different sizes have in turn.
#pragma once

#include <cstddef>
#include <memory>

namespace yolo::program {

// As large as its largest user needed so far. One that grew leaves the old one to those that have it, so let the largest
// come first.
template <class Buffer>
class Growing {
public:
    std::shared_ptr<Buffer> of(size_t bytes) {
        if (!buffer_ || buffer_->bytes() < bytes) buffer_ = std::make_shared<Buffer>(bytes);
        return buffer_;
    }
    size_t bytes() const { return buffer_ ? buffer_->bytes() : 0; }

private:
    std::shared_ptr<Buffer> buffer_;
};

}  // namespace yolo::program
