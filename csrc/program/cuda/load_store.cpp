// Where a plan meets plain layouts: images in, heads out, gradients of heads in.
#include "program/cuda/builders.h"
#include "program/cuda/images.h"

namespace yolo::program::cuda {
namespace {

StepInfo info(const Plan& plan, const Step& step, const char* kind, const TensorView& view, int64_t outside) {
    const int64_t numbers = plan.batch() * view.channels * view.pixels();
    return {kind, step.where, "kernel", 0.0, numbers * (view.element + outside)};
}

}  // namespace

// Images uint8 [batch, channels, H, W], divided by `divisor`, into a map.
std::vector<CompiledStep> build_load_images(BuildContext& context, const Step& step) {
    const Map target = context.map(step.view("target"));
    const auto divisor = static_cast<float>(step.real("divisor"));
    return {{info(context.plan, step, "load", step.view("target"), 1),
             [=](const Run& run) { load_images(run.images, target, divisor, run.stream); }}};
}

// A head, float32 [batch, channels, h, w], out of a map.
std::vector<CompiledStep> build_store_head(BuildContext& context, const Step& step) {
    const Map source = context.map(step.view("source"));
    const int64_t number = step.number("number");
    return {{info(context.plan, step, "store", step.view("source"), 4),
             [=](const Run& run) { store_head(source, run.heads[number], run.stream); }}};
}

// Its gradient into a map.
std::vector<CompiledStep> build_load_head_gradient(BuildContext& context, const Step& step) {
    const Map target = context.map(step.view("target"));
    const int64_t number = step.number("number");
    return {{info(context.plan, step, "load", step.view("target"), 4),
             [=](const Run& run) { load_head(run.head_gradients[number], target, run.stream); }}};
}

}  // namespace yolo::program::cuda
