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
    // Held by who runs more than one pass: from a forward pass to the end of its backward pass, or of the suppression.
    std::mutex step;
    // The executor whose forward pass left its feature maps here, until its backward pass has used them.
    const void* holder = nullptr;

    // Take as much as another one has, so that the largest comes first.
    void match(Memory& other) {
        size_t sizes[3];
        {
            const std::scoped_lock lock(other.step, other.mutex);
            sizes[0] = other.maps.bytes(), sizes[1] = other.workspace.bytes(), sizes[2] = other.heads.bytes();
        }
        const std::scoped_lock lock(step, mutex);
        maps.of(sizes[0]), workspace.of(sizes[1]), heads.of(sizes[2]);
    }

    size_t bytes() const { return maps.bytes() + workspace.bytes() + heads.bytes(); }
};

}  // namespace yolo::program
