// A batch's images on their way to a training step, copied to the device while the batch before is computed.
#pragma once

#include <cstddef>

#include "cuda/device.h"

namespace yolo::program::cuda {

class StagedImages {
public:
    explicit StagedImages(size_t bytes) : buffer_(bytes) {}
    // From the host's memory; returns when all of it is there. By any thread, one at a time.
    void fill(const void* images) {
        yolo::cuda::copy_in(buffer_.data(), images, buffer_.bytes(), stream_.get());
        yolo::cuda::synchronise(stream_.get());
    }
    const std::byte* data() const { return buffer_.data(); }
    size_t bytes() const { return buffer_.bytes(); }

private:
    yolo::cuda::DeviceBuffer buffer_;
    yolo::cuda::OwnStream stream_;
};

}  // namespace yolo::program::cuda
