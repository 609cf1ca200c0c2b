// Attention between maps: planes of floats, one image after the other.
#include <algorithm>

#include "parallel/team.h"
#include "program/kernels/attention.h"
#include "program/cpu/builders.h"

namespace yolo::program {
namespace {

AttentionShape shape_of(const Step& step, const TensorView& view) {
    return {view.channels, view.pixels(), step.number("heads")};
}

// Calls action(first channel, channels, address) for each channel block of an image.
template <class Action>
void each_block(const ExecContext& exec, const TensorView& view, int64_t n, const Action& action) {
    parallel::share(exec.threads, exec.blocks(view), [&](int, int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) {
            action(b * exec.block, std::min(exec.block, view.channels - b * exec.block), exec.at(view, n, b));
        }
    });
}

void to_rows(const ExecContext& exec, const TensorView& view, int64_t n, float* rows) {
    each_block(exec, view, n, [&](int64_t c, int64_t number, const std::byte* from) {
        kernels().planar[format_of(view)](from, view.pixels(), number, rows + c * view.pixels(), view.pixels());
    });
}

void from_rows(const ExecContext& exec, const float* rows, const TensorView& view, int64_t n) {
    each_block(exec, view, n, [&](int64_t c, int64_t number, std::byte* to) {
        kernels().blocked[format_of(view)](rows + c * view.pixels(), view.pixels(), number, view.pixels(), to);
    });
}

// A step that reads and writes maps as planes of floats: compute(planes by number, scratch) for each image.
template <class Compute>
std::vector<CompiledStep> on_rows(BuildContext& context, const Step& step, StepInfo info, std::vector<TensorView> given,
                                  std::vector<TensorView> made, const Compute& compute) {
    const ExecContext exec = context;
    const AttentionShape shape = shape_of(step, made[0]);
    const auto maps = static_cast<int64_t>(given.size() + made.size());
    const int64_t floats = maps * shape.plane() + exec.threads * attention_scratch(shape);
    const dnnl::memory rows = Workspace::Frame(context.workspace).floats(floats);
    info.implementation = kernels().name;
    info.bytes = maps * exec.batch * shape.plane() * made[0].element;
    info.flops *= static_cast<double>(exec.batch * shape.cells) * static_cast<double>(shape.plane());
    return {{info, [=](const Run&) {
                 float* const first = static_cast<float*>(rows.get_data_handle());
                 const auto plane = [=](size_t i) { return first + static_cast<int64_t>(i) * shape.plane(); };
                 for (int64_t n = 0; n < exec.batch; ++n) {
                     for (size_t i = 0; i < given.size(); ++i) to_rows(exec, given[i], n, plane(i));
                     compute(shape, plane, first + maps * shape.plane(), exec.threads);
                     for (size_t i = 0; i < made.size(); ++i) from_rows(exec, plane(given.size() + i), made[i], n);
                 }
             }}};
}

}  // namespace

std::vector<CompiledStep> build_attention(BuildContext& context, const Step& step) {
    return on_rows(context, step, {"attention", step.where, "", 4.0},
                   {step.view("query"), step.view("key"), step.view("value")}, {step.view("target")},
                   [](const AttentionShape& shape, const auto& plane, float* scratch, int threads) {
                       attend(shape, plane(0), plane(1), plane(2), plane(3), scratch, threads);
                   });
}

std::vector<CompiledStep> build_attention_backward(BuildContext& context, const Step& step) {
    return on_rows(context, step, {"attention_back", step.where, "", 10.0},
                   {step.view("query"), step.view("key"), step.view("value"), step.view("gradient")},
                   {step.view("query_gradient"), step.view("key_gradient"), step.view("value_gradient")},
                   [](const AttentionShape& shape, const auto& plane, float* scratch, int threads) {
                       attend_back(shape, plane(0), plane(1), plane(2), plane(3), plane(4), plane(5), plane(6), scratch,
                                   threads);
                   });
}

}  // namespace yolo::program
