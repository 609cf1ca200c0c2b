// A whole detector as one operator.
#pragma once

#include <cstddef>
#include <vector>

#include "program/cpu/network.h"
#include "program/detection/head.h"

namespace yolo::program {

// The network and its head. inputs: uint8 [batch, channels, H, W]; outputs: the head's. Network and head must outlive it.
// The raw heads stay in the network's memory, which is taken from the first of them to the last detection: runs of all
// that share that memory go one after the other, whatever thread calls them.
class DetectorProgram : public Runnable {
public:
    // Raises std::invalid_argument where the network's outputs are not the head's inputs.
    DetectorProgram(Network& network, DetectionHead& head);
    void run(const void* const* inputs, void* const* outputs) override;
    const Network& network() const { return network_; }
    const DetectionHead& head() const { return head_; }

private:
    Network& network_;
    DetectionHead& head_;
    std::vector<size_t> starts_;  // of each raw head in the memory, and behind the last one; bytes
};

}  // namespace yolo::program
