#include "program/cuda/executor.h"

#include <map>
#include <stdexcept>
#include <utility>

#include "program/common/build.h"
#include "program/common/verify.h"
#include "program/cuda/builders.h"

namespace yolo::program::cuda {
namespace {

constexpr int64_t kMapAlignment = 16;  // what a thread loads at once

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
        {"conv", build_conv},
        {"conv_forward", build_conv_forward},
        {"conv_backward", build_conv_backward},
        {"load_head_gradient", build_load_head_gradient},
        {"resample_backward", build_resample_backward},
        {"attention_backward", build_attention_backward},
        {"norm_act_add_backward", build_norm_act_add_backward},
        {"norm_act_add_recompute", build_norm_act_add_recompute},
        {"accumulate", build_accumulate},
    };
    return *all;
}

void require_aligned(const Step& step) {
    for (const auto& [role, views] : step.views) {
        for (const TensorView& view : views) {
            if (view.offset % kMapAlignment != 0) {
                throw std::invalid_argument(step.where + ": " + role + " begins between what is loaded at once");
            }
        }
    }
}

Plan verified(Plan plan, const Limits& limits) {
    verify(plan, limits);
    if (plan.layout != Layout::nhwc || plan.block != yolo::cuda::kPack) {
        throw std::invalid_argument("the plan is for another device: its channels do not lie together");
    }
    for (const auto* steps : {&plan.forward, &plan.backward}) {
        for (const Step& step : *steps) require_aligned(step);
    }
    return plan;
}

Number number_of(const Plan& plan) {
    if (plan.element == 4) return Number::float32;
    return plan.half ? Number::float16 : Number::bfloat16;
}

}  // namespace

Executor::Executor(Plan plan, std::shared_ptr<Constants> constants, std::shared_ptr<Memory> memory,
                   std::shared_ptr<Group> group, const Limits& limits)
    : plan_(verified(std::move(plan), limits)), constants_(std::move(constants)),
      memory_(memory ? std::move(memory) : std::make_shared<Memory>()), group_(std::move(group)),
      arena_(memory_->maps.of(static_cast<size_t>(plan_.arena))) {
    Budget budget(limits);
    budget.take("maps", static_cast<double>(plan_.arena));
    const yolo::cuda::OwnStream stream;
    BuildContext context{plan_,  arena_->data(),   number_of(plan_), workspace_,
                         budget, constants_.get(), stream.get(),     group_};
    forward_ = build_steps<CompiledStep>(context, plan_.forward, builders());
    backward_ = build_steps<CompiledStep>(context, plan_.backward, builders());
    scratch_ = memory_->workspace.of(workspace_.bytes());
    workspace_.place(scratch_->data());
}

void Executor::forward(const Run& run) {
    memory_->holder = nullptr;
    for (const CompiledStep& step : forward_) step.action(run);
    memory_->holder = this;
}

void Executor::backward(const Run& run) {
    if (memory_->holder != this) throw std::logic_error("backward without a forward before it: its feature maps are gone");
    memory_->holder = nullptr;
    for (const CompiledStep& step : backward_) step.action(run);
}

std::vector<StepInfo> Executor::steps() const {
    return infos_of(forward_, backward_);
}

}  // namespace yolo::program::cuda
