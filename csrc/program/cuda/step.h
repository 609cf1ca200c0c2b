// One step of training on a CUDA device as two operators: gradients, and the update that uses them. What moves stays on
// the device; inputs and outputs are the host's.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ops/cuda/update.h"
#include "ops/update.h"
#include "program/common/timed_runnable.h"
#include "program/cuda/batch_loss.h"
#include "program/cuda/executor.h"
#include "program/cuda/staged.h"
#include "program/cuda/work.h"
#include "program/detection/loss.h"

namespace yolo::program::cuda {

// The vectors of a training run, float32, as ops::UpdateBuffers has them: "values", "gradient", "first", "second", "ema".
class TrainVectors {
public:
    // numbers: of each vector, in this order. scaled: the loss is scaled as float16 needs it.
    TrainVectors(const std::array<int64_t, 5>& numbers, bool scaled);

    // Between the host's memory and a vector, all of it. Raise std::out_of_range for an unknown name.
    void write(const std::string& name, const float* from);
    void read(const std::string& name, float* to) const;
    int64_t numbers(const std::string& name) const;

    float* at(const std::string& name) const;
    ops::UpdateBuffers buffers() const;
    // Null where the loss is not scaled.
    ops::cuda::LossScale* loss_scale() const;
    // The scale as it is now, and as it is from now on. Raise std::logic_error where the loss is not scaled.
    ops::cuda::LossScale read_scale() const;
    void write_scale(const ops::cuda::LossScale& scale);
    Stream stream() const { return stream_.get(); }

private:
    static size_t place(const std::string& name);

    yolo::cuda::OwnStream stream_;
    std::vector<std::unique_ptr<DeviceBuffer>> vectors_;
    std::unique_ptr<DeviceBuffer> loss_scale_;
};

// Forward, loss and backward, of images uint8 [B, C, H, W] that are on the device already. inputs: labels float32 [B,
// places, 5], counts int32 [B], and on several ranks the matches of the whole batch, float64 [levels]; outputs: float32
// [4]: loss, box, obj, cls. Statistics in the values are moved, the gradient is added to. On several ranks, B is a rank's
// part, and gradient and outputs are its summands of the whole batch's.
class GradientStep : public TimedRunnable {
public:
    // The executor and the vectors must outlive it. Raises std::invalid_argument where they do not fit the loss.
    GradientStep(Executor& executor, const DetectionLoss& loss, int64_t places, const TrainVectors& vectors,
                 int64_t ranks = 1);
    int64_t places() const { return loss_.places(); }
    int64_t ranks() const { return ranks_; }
    size_t levels() const { return loss_.levels(); }
    const Executor& executor() const { return executor_; }
    // The images of the next run, which lets go of them. Raises std::invalid_argument for those of another shape.
    void take(std::shared_ptr<const StagedImages> images);

private:
    void compute(const void* const* inputs, void* const* outputs) override;
    void give(Stream stream);

    Executor& executor_;
    const TrainVectors& vectors_;
    int64_t ranks_;
    std::shared_ptr<const StagedImages> staged_;
    std::vector<float*> heads_;
    std::vector<const float*> slopes_;
    std::shared_ptr<DeviceBuffer> memory_;  // heads, their gradients and the loss's scratch
    DeviceBuffer images_, matches_;
    BatchLoss loss_;
    Work work_;
};

// Clipping, optimizer and moving average. inputs: rates float32 [7] as program::UpdateStep takes them; outputs: float32
// [1], the gradient's norm before clipping. With a group the ranks' gradients are added up before, and the statistics
// become their mean; a gradient that is not finite on one rank is so on all, and with it their loss scales stay equal.
//
// The sum does not overlap the backward pass. There is one an update, not one a batch: 29 MB for YOLOv5s, by their
// bandwidths 0.2 ms between GPUs with NVLink and some 3 ms over PCIe. To hide it, the last backward pass before an update would be a recording of
// its own, with events to a second stream behind the layers whose gradients lie together.
class UpdateStep : public TimedRunnable {
public:
    // The vectors must outlive it. group: null for a single rank. frozen: the first of sizes.statistics that are none, but
    // parameters which nothing moves. Raises std::invalid_argument for sizes that are not the vectors'.
    UpdateStep(ops::Optimizer optimizer, ops::UpdateSizes sizes, float weight_decay, const TrainVectors& vectors,
               std::shared_ptr<Group> group = nullptr, int64_t frozen = 0);

private:
    void compute(const void* const* inputs, void* const* outputs) override;
    void join_ranks(Stream stream) const;

    ops::Optimizer optimizer_;
    ops::UpdateSizes sizes_;
    float weight_decay_;
    const TrainVectors& vectors_;
    std::shared_ptr<Group> group_;
    int64_t frozen_;
    DeviceBuffer rates_, norm_, scratch_;
    Work work_;
};

}  // namespace yolo::program::cuda
