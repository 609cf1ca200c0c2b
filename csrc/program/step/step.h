// One step of training as two operators: gradients, and the update that uses them.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "ops/update.h"
#include "program/common/buffer.h"
#include "program/common/timed_runnable.h"
#include "program/cpu/executor.h"
#include "program/detection/loss.h"

namespace yolo::program {

// Forward, loss and backward. inputs: images uint8 [B, C, H, W], labels float32 [B, places, 5], counts int32 [B], and on
// several ranks the matches of the whole batch, float64 [levels]; then, mutable, values float32 [size] (running
// statistics are moved) and gradient float32 [parameters] (added to). outputs: float32 [4]: loss, box, obj, cls; on
// several ranks, B is a rank's part, and gradient and outputs are its summands of the whole batch's.
class GradientStep : public TimedRunnable {
public:
    // The executor must outlive it. Raises std::invalid_argument where its heads are not the loss's.
    GradientStep(Executor& executor, DetectionLoss loss, int64_t places, int64_t ranks);

private:
    void compute(const void* const* inputs, void* const* outputs) override;

    Executor& executor_;
    DetectionLoss loss_;
    int64_t places_, ranks_;
    std::shared_ptr<Buffer> buffer_;
    std::vector<std::byte*> heads_, gradients_;  // raw heads and the loss's gradients, one a level, in buffer_
    std::vector<double> terms_;
};

// What a rank gives to the sum over ranks before an update. inputs: gradient float32 [parameters], values float32 [size];
// outputs: float32 [size], the gradient, zeros where frozen parameters lie, and the statistics divided by the ranks, so
// that their mean comes out.
class Contribution : public Runnable {
public:
    Contribution(int64_t parameters, int64_t frozen, int64_t size, int64_t ranks)
        : parameters_(parameters), frozen_(frozen), size_(size), ranks_(ranks) {}
    void run(const void* const* inputs, void* const* outputs) override;

private:
    int64_t parameters_, frozen_, size_, ranks_;
};

// Clipping, optimizer and moving average. inputs: rates float32 [7] (bias, weight, norm, momentum, EMA decay and Adam's
// two corrections), and on several ranks the sum of their contributions; then, mutable, values, gradient, first, second
// and ema as ops::UpdateBuffers has them. outputs: float32 [1], the gradient's norm before clipping.
class UpdateStep : public TimedRunnable {
public:
    // frozen: the first of sizes.statistics that are none, but parameters which nothing moves. Raises
    // std::invalid_argument for sizes below 0 and a decay that is no number of 0 or more.
    UpdateStep(ops::Optimizer optimizer, ops::UpdateSizes sizes, float weight_decay, int64_t ranks, int64_t frozen);

private:
    void compute(const void* const* inputs, void* const* outputs) override;

    ops::Optimizer optimizer_;
    ops::UpdateSizes sizes_;
    float weight_decay_;
    int64_t ranks_, frozen_;
};

}  // namespace yolo::program
