// Memory that executors of different shapes use in turn, so that many shapes cost no more than the largest.
#pragma once

#include <mutex>

#include "program/common/buffer.h"
#include "program/common/growing.h"

namespace yolo::program {

class Memory {
public:
    Growing<Buffer> maps, workspace, heads;
    std::mutex mutex;
    // Held from a forward pass to the end of its backward pass by who runs both.
    std::mutex step;
    // The executor whose forward pass left its feature maps here, until its backward pass has used them.
    const void* holder = nullptr;

    size_t bytes() const { return maps.bytes() + workspace.bytes() + heads.bytes(); }
};

}  // namespace yolo::program
