// One step of training as two operators: gradients, and the update that uses them.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "ops/update.h"
#include "program/buffer.h"
#include "program/detection/loss.h"
#include "program/runnable.h"
#include "program/training/program.h"

namespace yolo::program {

// Forward, loss and backward. inputs: images uint8 [B, C, H, W], labels float32 [B, places, 5], counts int32 [B]; then,
// mutable, values float32 [size] (running statistics are moved) and gradient float32 [parameters] (added to).
// outputs: float32 [4]: loss, box, obj, cls.
class GradientStep : public Runnable {
public:
    GradientStep(std::shared_ptr<training::TrainingProgram> program, DetectionLoss loss, int64_t places);
    void run(const void* const* inputs, void* const* outputs) override;

private:
    void step(const void* const* inputs, void* const* outputs);

    std::shared_ptr<training::TrainingProgram> program_;
    DetectionLoss loss_;
    int64_t places_;
    std::vector<Buffer> heads_, slopes_;  // raw heads and the loss's gradients, one a level
    std::vector<double> terms_;
    std::mutex mutex_;
};

// Clipping, optimizer and moving average. inputs: rates float32 [7] (bias, weight, norm, momentum, EMA decay and Adam's
// two corrections); then, mutable, values, gradient, first, second and ema as ops::UpdateBuffers has them.
// outputs: float32 [1], the gradient's norm before clipping.
class UpdateStep : public Runnable {
public:
    UpdateStep(ops::Optimizer optimizer, ops::UpdateSizes sizes, float weight_decay)
        : optimizer_(optimizer), sizes_(sizes), weight_decay_(weight_decay) {}
    void run(const void* const* inputs, void* const* outputs) override;

private:
    ops::Optimizer optimizer_;
    ops::UpdateSizes sizes_;
    float weight_decay_;
};

}  // namespace yolo::program
