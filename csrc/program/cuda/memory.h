// Device memory that executors of different shapes use in turn, so that many shapes cost no more than the largest.
#pragma once

#include <cstddef>
#include <mutex>

#include "cuda/device.h"
#include "program/common/growing.h"

namespace yolo::program::cuda {

class Memory {
public:
    Growing<yolo::cuda::DeviceBuffer> maps, workspace, heads;
    // Held by who gives work that uses the memory, until that is done.
    std::mutex mutex;
    // The executor whose forward pass left its feature maps here, until its backward pass has used them.
    const void* holder = nullptr;

    size_t bytes() const { return maps.bytes() + workspace.bytes() + heads.bytes(); }
};

}  // namespace yolo::program::cuda
