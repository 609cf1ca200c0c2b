// A whole detector on a CUDA device as one operator.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ops/cuda/decode.h"
#include "program/common/timed_runnable.h"
#include "program/cuda/executor.h"
#include "program/cuda/work.h"
#include "program/detection/level.h"

namespace yolo::program::cuda {

// inputs: uint8 [batch, channels, H, W]; outputs: those of the head, all of the host's. Threads may share it; their runs
// go one after the other.
class DetectorProgram : public TimedRunnable {
public:
    // The network must outlive it. levels, classes, settings: of the head, as program::DetectionHead has them. Raises
    // std::invalid_argument where the head is another network's and for settings that mean nothing.
    DetectorProgram(Executor& network, const std::vector<Level>& levels, int64_t classes, ops::NmsSettings settings);
    const Executor& network() const { return network_; }
    int64_t max_det() const { return problem_.settings.max_det; }

private:
    void compute(const void* const* inputs, void* const* outputs) override;

    Executor& network_;
    ops::cuda::NmsProblem problem_;
    std::vector<ops::cuda::HeadLevel> levels_;
    std::vector<float*> heads_;
    std::unique_ptr<DeviceBuffer> wanted_;
    std::shared_ptr<DeviceBuffer> memory_;  // heads, and what suppression works in
    DeviceBuffer images_, detections_, counts_;
    std::byte* scratch_ = nullptr;
    yolo::cuda::OwnStream stream_;
    Work work_;
};

}  // namespace yolo::program::cuda
