// A batch's images on their way to a training step, copied to the device while the batch before is computed.
#pragma once

#include <cstddef>
#include <stdexcept>

#include "cuda/device.h"

namespace yolo::program::cuda {

class StagedImages {
public:
    // room: for images of at most so many bytes.
    explicit StagedImages(size_t room) : buffer_(room) {}
    // From the host's memory; returns when all of it is there. By any thread, one at a time. Raises
    // std::invalid_argument for more than there is room for.
    void fill(const void* images, size_t bytes) {
        if (bytes > room()) throw std::invalid_argument("images: more than there is room for");
        yolo::cuda::copy_in(buffer_.data(), images, bytes, stream_.get());
        yolo::cuda::synchronise(stream_.get());
        bytes_ = bytes;
    }
    const std::byte* data() const { return buffer_.data(); }
    size_t room() const { return buffer_.bytes(); }
    // Of the images that are there.
    size_t bytes() const { return bytes_; }

private:
    yolo::cuda::DeviceBuffer buffer_;
    size_t bytes_ = 0;
    yolo::cuda::OwnStream stream_;
};

}  // namespace yolo::program::cuda
