// Runs a plan on a CUDA device: one executor for inference and for training.
#pragma once

#include <memory>
#include <vector>

#include "program/common/limits.h"
#include "program/common/plan.h"
#include "program/cuda/build_context.h"
#include "program/cuda/memory.h"

namespace yolo::program::cuda {

// Verified and built once, then run any number of times. The maps lie in `memory`, which executors may share: whoever
// runs one holds memory().mutex until the work is done.
class Executor {
public:
    // `constants`: of inference, may be null; `memory`: null for one of its own; `group`: joins the batch norms of all
    // ranks, may be null. Raises std::invalid_argument, in one line, for a plan that does not hold (verify.h) or is for
    // another device, and where it outgrows its limits; DeviceError where the device refuses.
    Executor(Plan plan, std::shared_ptr<Constants> constants, std::shared_ptr<Memory> memory = nullptr,
             std::shared_ptr<Group> group = nullptr, const Limits& limits = {});

    // Both give their work to the run's stream. A backward pass comes right after its forward pass; it raises
    // std::logic_error without one.
    void forward(const Run& run);
    void backward(const Run& run);

    const Plan& plan() const { return plan_; }
    // All maps, as steps leave them.
    const DeviceBuffer& arena() const { return *arena_; }
    Memory& memory() const { return *memory_; }
    // Whether the passes may be recorded.
    bool recordable() const { return group_ == nullptr || group_->recordable(); }
    // Of the device, for maps and scratch.
    int64_t memory_bytes() const { return plan_.arena + static_cast<int64_t>(workspace_.bytes()); }
    // Steps of both passes.
    std::vector<StepInfo> steps() const;

private:
    Plan plan_;
    std::shared_ptr<Constants> constants_;
    std::shared_ptr<Memory> memory_;
    std::shared_ptr<Group> group_;
    std::shared_ptr<DeviceBuffer> arena_, scratch_;
    Workspace workspace_;
    std::vector<CompiledStep> forward_, backward_;
};

}  // namespace yolo::program::cuda
