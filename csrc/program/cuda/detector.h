// A whole detector on a CUDA device as one operator.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "ops/cuda/decode.h"
#include "program/common/timed_runnable.h"
#include "program/cuda/batch_loss.h"
#include "program/cuda/executor.h"
#include "program/cuda/work.h"
#include "program/detection/level.h"

namespace yolo::program::cuda {

// inputs: uint8 [batch, channels, H, W], and of one with a loss labels float32 [batch, places, 5] and counts int32
// [batch]; outputs: those of the head, and of one with a loss its terms, float64 [levels, 5]. All of the host's. Threads
// may share it; their runs go one after the other.
class DetectorProgram : public TimedRunnable {
public:
    // The network must outlive it. levels, classes, settings: of the head, as program::DetectionHead has them; loss: null
    // for none. Raises std::invalid_argument where head or loss are another network's and for settings that mean nothing.
    DetectorProgram(Executor& network, const std::vector<Level>& levels, int64_t classes, ops::NmsSettings settings,
                    const DetectionLoss* loss = nullptr, int64_t places = 0);
    const Executor& network() const { return network_; }
    int64_t max_det() const { return problem_.settings.max_det; }
    size_t levels() const { return levels_.size(); }
    // Room for labels of an image; -1 without a loss.
    int64_t places() const { return loss_ ? loss_->places() : -1; }
    // Seconds of the last run that decoding and suppression took on the device.
    double nms_seconds() const { return nms_seconds_; }

private:
    void compute(const void* const* inputs, void* const* outputs) override;
    void lay_out(size_t head_bytes);

    Executor& network_;
    ops::cuda::NmsProblem problem_;
    std::vector<ops::cuda::HeadLevel> levels_;
    std::vector<float*> heads_;
    std::unique_ptr<DeviceBuffer> wanted_;
    std::shared_ptr<DeviceBuffer> memory_;  // heads, and what suppression and loss work in
    DeviceBuffer images_, detections_, counts_;
    std::byte* scratch_ = nullptr;
    yolo::cuda::OwnStream stream_;
    std::unique_ptr<BatchLoss> loss_;
    yolo::cuda::Mark begun_, ended_;
    std::atomic<double> nms_seconds_{0.0};
    Work forward_, detection_;
};

}  // namespace yolo::program::cuda
