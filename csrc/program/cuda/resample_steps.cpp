// Pools and upsampling, and their gradients.
#include <algorithm>

#include "program/cuda/builders.h"
#include "program/cuda/resample.h"

namespace yolo::program::cuda {
namespace {

Resampling method_of(const Step& step) {
    const std::string& method = step.text("method");
    if (method == "max_pool") return Resampling::max_pool;
    if (method == "average_pool") return Resampling::average_pool;
    return method == "bilinear" ? Resampling::bilinear : Resampling::upsample;
}

Window window_of(const Step& step) {
    const auto number = [&](const char* name) { return static_cast<int>(step.number(name)); };
    return {number("kernel"), number("stride"), number("padding")};
}

Places places_of(const BuildContext& context, const Step& step) {
    const TensorView* const index = step.optional("index");
    if (index == nullptr) return {};
    const Map map = context.map(*index);
    return {map.data, map.pitch, index->element};
}

// Windows may be as large as maps: more work than the maps have numbers.
void spend(BuildContext& context, const Step& step, const TensorView& source, const TensorView& target) {
    const auto rows = static_cast<double>(std::min(step.number("kernel"), source.height));
    const auto columns = static_cast<double>(std::min(step.number("kernel"), source.width));
    const auto numbers = static_cast<double>(context.plan.batch() * target.channels * target.pixels());
    context.budget.spend(step.where, rows * columns * numbers);
}

}  // namespace

std::vector<CompiledStep> build_resample(BuildContext& context, const Step& step) {
    const TensorView &from = step.view("source"), &to = step.view("target");
    const Map source = context.map(from), target = context.map(to);
    const Resampling method = method_of(step);
    const Window window = window_of(step);
    const Places places = places_of(context, step);
    spend(context, step, from, to);
    StepInfo info{step.text("method"), step.where, "kernel"};
    info.bytes = context.plan.batch() * from.channels * (from.pixels() + to.pixels()) * from.element;
    return {{info, [=](const Run& run) { resample(method, source, target, window, places, run.stream); }}};
}

// The gradient, of the sum of `gradients`, to `source_gradient`.
std::vector<CompiledStep> build_resample_backward(BuildContext& context, const Step& step) {
    const TensorView &target = step.all("gradients")[0], &to = step.view("source_gradient");
    const std::vector<Map> gradients = context.maps(step.all("gradients"));
    const Map made = context.map(to);
    const Resampling method = method_of(step);
    const Window window = window_of(step);
    const Places places = places_of(context, step);
    spend(context, step, to, target);
    const Workspace::Piece scratch =
        Workspace::Frame(context.workspace).take(resample_backward_scratch_bytes(method, gradients, window));
    StepInfo info{step.text("method") + "_back", step.where, "kernel"};
    info.bytes = context.plan.batch() * target.channels * target.element *
                 (to.pixels() + target.pixels() * static_cast<int64_t>(gradients.size()));
    return {{info, [=](const Run& run) {
                 resample_backward(method, gradients, made, window, places, scratch.as<float>(), run.stream);
             }}};
}

}  // namespace yolo::program::cuda
