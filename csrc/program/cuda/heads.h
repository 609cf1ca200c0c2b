// A network on a CUDA device whose raw heads go to the host: for those who join several, or look at them themselves.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "program/common/timed_runnable.h"
#include "program/cuda/executor.h"
#include "program/cuda/work.h"

namespace yolo::program::cuda {

// Bytes of an array of this shape, and as many as are taken of memory that several lie in.
size_t bytes_of(const Numbers& shape, size_t element);
size_t aligned(size_t bytes);

// inputs: uint8 [B, C, H, W]; outputs: float32 [B, channels, h, w] a level. All of the host's.
class HeadsProgram : public TimedRunnable {
public:
    // The network must outlive it. Raises std::invalid_argument for one that is trained.
    explicit HeadsProgram(Executor& network);
    const Executor& network() const { return network_; }

private:
    void compute(const void* const* inputs, void* const* outputs) override;

    Executor& network_;
    std::shared_ptr<DeviceBuffer> memory_;
    DeviceBuffer images_;
    std::vector<float*> heads_;
    yolo::cuda::OwnStream stream_;
    Work work_;
};

}  // namespace yolo::program::cuda
