#include "program/cuda/accumulate.h"

#include "program/cuda/builders.h"

namespace yolo::program::cuda {

// Adds maps up into one: a gradient that several readers gave, for those that take one map.
std::vector<CompiledStep> build_accumulate(BuildContext& context, const Step& step) {
    const std::vector<Map> sources = context.maps(step.all("sources"));
    const Map target = context.map(step.view("target"));
    StepInfo info{"accumulate", step.where, "kernel"};
    const auto maps = static_cast<int64_t>(sources.size()) + 1;
    info.bytes = target.packs() * yolo::cuda::kPack * step.view("target").element * maps;
    return {{info, [=](const Run& run) { accumulate(sources, target, run.stream); }}};
}

}  // namespace yolo::program::cuda
