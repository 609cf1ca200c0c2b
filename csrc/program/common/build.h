// How an executor makes what it runs of a plan's steps, whatever its device.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "program/common/plan.h"
#include "program/common/step_info.h"

namespace yolo::program {

// The compiled steps of `steps`, each made by the builder of its kind. The context counts them in `step`, and work and
// scratch are taken of its budget. Raises std::invalid_argument, in one line that names the step, for a kind that has no
// builder and where the budget is spent, and what builders raise.
template <class CompiledStep, class Context>
std::vector<CompiledStep> build_steps(
    Context& context, const std::vector<Step>& steps,
    const std::map<std::string, std::vector<CompiledStep> (*)(Context&, const Step&)>& builders) {
    std::vector<CompiledStep> all;
    for (const Step& step : steps) {
        const auto build = builders.find(step.kind);
        if (build == builders.end()) throw std::invalid_argument(step.where + ": this executor knows no " + step.kind);
        const size_t before = context.workspace.bytes();
        for (CompiledStep& made : build->second(context, step)) {
            context.budget.spend(step.where, made.info.flops + static_cast<double>(made.info.bytes));
            all.push_back(std::move(made));
        }
        context.budget.take(step.where, static_cast<double>(context.workspace.bytes() - before));
        ++context.step;
    }
    return all;
}

// Of both passes.
template <class CompiledStep>
std::vector<StepInfo> infos_of(const std::vector<CompiledStep>& forward, const std::vector<CompiledStep>& backward) {
    std::vector<StepInfo> all;
    for (const auto* steps : {&forward, &backward}) {
        for (const CompiledStep& step : *steps) all.push_back(step.info);
    }
    return all;
}

}  // namespace yolo::program
