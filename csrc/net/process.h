// A process that may be ended for being stopped.
#pragma once

#include <cstdint>

namespace yolo::net {

// By what the kernel says of it: numbers are given again, with another start.
struct Process {
    int number = 0;      // 0: none
    uint64_t start = 0;  // in clock ticks since the machine's
};

// SIGKILL, if it is still that process.
void kill_same(const Process& process);

}  // namespace yolo::net
