#include "program/cpu/executor.h"

#include <chrono>
#include <map>
#include <optional>
#include <stdexcept>
#include <utility>

#include "parallel/team.h"
#include "program/common/build.h"
#include "program/common/verify.h"
#include "program/cpu/builders.h"
#include "program/cpu/onednn.h"

namespace yolo::program {
namespace {

// Of the kinds of steps that this executor knows.
const std::map<std::string, Builder*>& builders() {
    static const auto* all = new std::map<std::string, Builder*>{
        {"load_images", build_load_images},
        {"store_head", build_store_head},
        {"resample", build_resample},
        {"gather", build_gather},
        {"scatter", build_scatter},
        {"attention", build_attention},
        {"norm_act_add", build_norm_act_add},
        {"conv_forward", build_conv_forward},
        {"conv_backward", build_conv_backward},
        {"load_head_gradient", build_load_head_gradient},
        {"resample_backward", build_resample_backward},
        {"attention_backward", build_attention_backward},
        {"norm_act_add_backward", build_norm_act_add_backward},
        {"norm_act_add_recompute", build_norm_act_add_recompute},
        {"accumulate", build_accumulate},
        {"conv", build_conv},
        {"int8_conv", build_int8_conv},
        {"quantise", build_quantise},
        {"dequantise", build_dequantise},
        {"copy_bytes", build_copy_bytes},
    };
    return *all;
}

// A plan of another machine would read and write in another order than it says.
void check_machine(const Plan& plan) {
    if (plan.layout != Layout::blocked || plan.half) {
        throw std::invalid_argument("the plan is for another device: its channels do not lie in blocks, or in binary16");
    }
    if (plan.block != channel_block()) {
        throw std::invalid_argument("the plan is for blocks of " + std::to_string(plan.block) +
                                    " channels, this processor has " + std::to_string(channel_block()));
    }
    if (plan.element == 2 && !has_bfloat16()) {
        throw std::invalid_argument("this processor has no bfloat16 instructions (it has " + instruction_set() + ")");
    }
}

Resources with_memory(Resources resources) {
    if (!resources.memory) resources.memory = std::make_shared<Memory>();
    return resources;
}

// A piece of a memory that others may be looking at.
template <class Piece>
auto taken(Memory& memory, Piece& piece, size_t bytes) {
    const std::lock_guard<std::mutex> lock(memory.mutex);
    return piece.of(bytes);
}

void require_constant(const Weights* weights, const std::string& where, const std::string& name,
                      const dnnl::memory::dims& dims) {
    if (weights == nullptr || !weights->has(name, dims)) {
        throw std::invalid_argument(where + ": its weights are not there or have another shape");
    }
}

}  // namespace

dnnl::memory BuildContext::constant(const std::string& where, const std::string& name, const dnnl::memory::desc& desc) {
    require_constant(weights, where, name, desc.get_dims());
    // Whole channel blocks in each group: a hundred times the file's numbers where groups are small.
    if (!weights->is_packed(name, desc)) budget.take(where, static_cast<double>(desc.get_size()));
    return weights->packed(name, desc);
}

std::shared_ptr<const Buffer> BuildContext::packed(const std::string& where, const std::string& name,
                                                   const dnnl::memory::dims& dims, const Packing& packing) {
    require_constant(weights, where, name, dims);
    if (!weights->is_packed(name, packing)) budget.take(where, static_cast<double>(packing.bytes(dims, block)));
    return weights->packed(name, packing);
}

Executor::Executor(Plan plan, Resources resources, const Limits& limits)
    : plan_(std::move(plan)), resources_(with_memory(std::move(resources))) {
    verify(plan_, limits);
    check_machine(plan_);
    arena_ = taken(memory(), memory().maps, static_cast<size_t>(plan_.arena));
    parallel::prefer_threads(plan_.threads);  // oneDNN plans for as many
    Budget budget(limits);
    budget.take("maps", static_cast<double>(plan_.arena));
    BuildContext context{{arena_->data(), plan_.batch(), plan_.block, plan_.threads},
                         plan_.element,
                         workspace_,
                         budget,
                         resources_.weights.get(),
                         resources_.exchange,
                         {},
                         plan_.backward.empty()};
    forward_ = build_steps<CompiledStep>(context, plan_.forward, builders());
    backward_ = build_steps<CompiledStep>(context, plan_.backward, builders());
    workspace_.place(taken(memory(), memory().workspace, workspace_.bytes()));
}

void Executor::execute(std::vector<CompiledStep>& steps, const Run& run) {
    for (CompiledStep& step : steps) {
        if (!profiling_) {
            step.action(run);
            continue;
        }
        const auto start = std::chrono::steady_clock::now();
        step.action(run);
        const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - start;
        step.info.milliseconds += passed.count();
        ++step.info.runs;
    }
}

void Executor::run(const void* const* inputs, void* const* outputs) {
    forward(inputs[0], plan_.values > 0 ? static_cast<float*>(const_cast<void*>(inputs[1])) : nullptr, outputs);
}

void Executor::forward(const void* images, float* values, void* const* heads) {
    const std::lock_guard<std::mutex> lock(memory().mutex);
    // Networks that infer on several threads leave them to one another as a whole; a step of training has nobody beside it.
    std::optional<parallel::Turn> turn;
    if (plan_.backward.empty() && plan_.threads > 1) turn.emplace();
    parallel::prefer_threads(plan_.threads);  // of this thread only: OneFlow may call from any of its own
    memory().holder = nullptr;
    std::vector<void*> places(heads, heads + plan_.heads.size());
    const int64_t passes = plan_.per_image ? plan_.images[0] : 1;
    for (int64_t pass = 0; pass < passes; ++pass) {
        Run run;
        run.images = static_cast<const uint8_t*>(images) + pass * numbers_an_image(plan_.images);
        run.values = values, run.heads = places.data();
        execute(forward_, run);
        for (size_t i = 0; i < places.size(); ++i) places[i] = static_cast<float*>(places[i]) + numbers_an_image(plan_.heads[i]);
    }
    memory().holder = this;
}

void Executor::backward(const void* const* head_gradients, float* values, float* gradient) {
    const std::lock_guard<std::mutex> lock(memory().mutex);
    if (memory().holder != this) throw std::logic_error("backward without a forward before it: its feature maps are gone");
    memory().holder = nullptr;
    parallel::prefer_threads(plan_.threads);
    Run run;
    run.head_gradients = head_gradients, run.values = values, run.gradient = gradient;
    execute(backward_, run);
}

std::vector<StepInfo> Executor::steps() const {
    return infos_of(forward_, backward_);
}

void Executor::profile(bool on) {
    const std::lock_guard<std::mutex> lock(memory().mutex);
    profiling_ = on;
    if (!on) return;
    for (auto* steps : {&forward_, &backward_}) {
        for (CompiledStep& step : *steps) step.info.milliseconds = 0, step.info.runs = 0;
    }
}

}  // namespace yolo::program
