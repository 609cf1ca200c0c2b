// Runs a plan on the CPU: one executor for inference and for training.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "program/common/limits.h"
#include "program/common/plan.h"
#include "program/cpu/build_context.h"
#include "program/cpu/memory.h"
#include "program/cpu/network.h"
#include "program/cpu/weights.h"

namespace yolo::program {

// What a plan runs with besides its memory: the constants of inference, and what joins the batch norms of all ranks.
struct Resources {
    std::shared_ptr<Weights> weights;
    std::shared_ptr<Memory> memory;
    std::shared_ptr<net::Exchange> exchange;
};

// Verified and built once, then run any number of times. Threads may share it; their runs go one after the other.
// The maps lie in `memory`, which executors may share that run one after the other, each backward right after its
// forward.
class Executor final : public Network {
public:
    // Resources may be null. Raises std::invalid_argument, in one line, for a plan that does not hold (verify.h), for
    // another machine's and where it outgrows its limits; std::runtime_error where oneDNN has only a reference kernel.
    Executor(Plan plan, Resources resources, const Limits& limits = {});

    // The forward pass. inputs: images, then (mutable) values where the plan has some; outputs: the heads.
    void run(const void* const* inputs, void* const* outputs) override;
    // images uint8 [B, C, H, W], values float32 [plan().values]; heads float32 [B, C, h, w].
    // Moves the running statistics in `values`.
    void forward(const void* images, float* values, void* const* heads);
    // Adds to gradient, float32 [plan().gradient]. Raises std::logic_error without a forward of its own before it.
    void backward(const void* const* head_gradients, float* values, float* gradient);

    const Plan& plan() const { return plan_; }
    const Numbers& images() const override { return plan_.images; }
    const std::vector<Numbers>& heads() const override { return plan_.heads; }
    bool infers() const override { return plan_.values == 0; }
    Memory& memory() const override { return *resources_.memory; }
    // Of what it needs of the memory.
    int64_t memory_bytes() const { return plan_.arena + static_cast<int64_t>(workspace_.bytes()); }
    // Steps of both passes, with their times while profiling.
    std::vector<StepInfo> steps() const;
    void profile(bool on);

private:
    void execute(std::vector<CompiledStep>& steps, const Run& run);

    Plan plan_;
    Resources resources_;
    std::shared_ptr<Buffer> arena_;
    Workspace workspace_;
    std::vector<CompiledStep> forward_, backward_;
    bool profiling_ = false;
};

}  // namespace yolo::program
