// Attention between maps.
#include "program/cuda/attention.h"
#include "program/cuda/builders.h"

namespace yolo::program::cuda {
namespace {

Attended attended(const BuildContext& context, const Step& step) {
    return {context.map(step.view("query")), context.map(step.view("key")), context.map(step.view("value")),
            step.number("heads")};
}

// `maps`: that are read and written; `operations`: for each channel of each pair of pixels.
StepInfo info_of(const char* kind, const Step& step, const Map& map, int64_t maps, double operations) {
    StepInfo info{kind, step.where, "tiles of 64 x 64"};
    const int64_t numbers = map.pixels() * map.channels;
    info.flops = operations * static_cast<double>(numbers) * static_cast<double>(map.height * map.width);
    info.bytes = maps * numbers * static_cast<int64_t>(bytes_of(map.number));
    return info;
}

}  // namespace

std::vector<CompiledStep> build_attention(BuildContext& context, const Step& step) {
    const Attended from = attended(context, step);
    const Map target = context.map(step.view("target"));
    return {{info_of("attention", step, target, 4, 4.0), [=](const Run& run) { attend(from, target, run.stream); }}};
}

std::vector<CompiledStep> build_attention_backward(BuildContext& context, const Step& step) {
    const Attended from = attended(context, step);
    const Map gradient = context.map(step.view("gradient"));
    const AttendedGradients to{context.map(step.view("query_gradient")), context.map(step.view("key_gradient")),
                               context.map(step.view("value_gradient"))};
    const Workspace::Piece scratch = Workspace::Frame(context.workspace).take(attend_back_scratch_bytes(from));
    return {{info_of("attention_back", step, gradient, 7, 10.0),
             [=](const Run& run) { attend_back(from, gradient, to, scratch.as<void>(), run.stream); }}};
}

}  // namespace yolo::program::cuda
