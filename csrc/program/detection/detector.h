// A whole detector as one operator.
#pragma once

#include <mutex>
#include <vector>

#include "program/common/buffer.h"
#include "program/cpu/executor.h"
#include "program/detection/head.h"

namespace yolo::program {

// The network and its head. inputs: uint8 [batch, channels, H, W]; outputs: the head's. The raw heads stay in memory of
// its own. Network and head must outlive it. Threads may share it; their runs go one after the other.
class DetectorProgram : public Runnable {
public:
    // Raises std::invalid_argument where the network's outputs are not the head's inputs.
    DetectorProgram(Executor& network, DetectionHead& head);
    void run(const void* const* inputs, void* const* outputs) override;
    const Executor& network() const { return network_; }
    const DetectionHead& head() const { return head_; }

private:
    Executor& network_;
    DetectionHead& head_;
    std::vector<Buffer> heads_;
    std::mutex mutex_;
};

}  // namespace yolo::program
