// Attention between maps: planes of floats, one image after the other.
#include <algorithm>
#include <array>

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

// `number` maps of one image as planes of floats, then scratch for all threads.
dnnl::memory rows_of(BuildContext& context, const AttentionShape& shape, int64_t number) {
    return Workspace::Frame(context.workspace).floats(number * shape.plane() + context.threads * attention_scratch(shape));
}

std::array<TensorView, 3> given(const Step& step) {
    return {step.view("query"), step.view("key"), step.view("value")};
}

}  // namespace

std::vector<CompiledStep> build_attention(BuildContext& context, const Step& step) {
    const ExecContext exec = context;
    const TensorView target = step.view("target");
    const auto from = given(step);
    const AttentionShape shape = shape_of(step, target);
    const dnnl::memory rows = rows_of(context, shape, 4);
    StepInfo info{"attention", step.where, kernels().name};
    info.bytes = 4 * exec.batch * shape.plane() * target.element;
    info.flops = 4.0 * static_cast<double>(exec.batch) * static_cast<double>(shape.cells) * static_cast<double>(shape.plane());
    return {{info, [=](const Run&) {
                 float *first = static_cast<float*>(rows.get_data_handle()), *scratch = first + 4 * shape.plane();
                 const auto map = [&](int64_t i) { return first + i * shape.plane(); };
                 for (int64_t n = 0; n < exec.batch; ++n) {
                     for (int64_t i = 0; i < 3; ++i) to_rows(exec, from[static_cast<size_t>(i)], n, map(i));
                     attend(shape, map(0), map(1), map(2), map(3), scratch, exec.threads);
                     from_rows(exec, map(3), target, n);
                 }
             }}};
}

std::vector<CompiledStep> build_attention_backward(BuildContext& context, const Step& step) {
    const ExecContext exec = context;
    const TensorView gradient = step.view("gradient");
    const auto from = given(step);
    const std::array<TensorView, 3> to{step.view("query_gradient"), step.view("key_gradient"), step.view("value_gradient")};
    const AttentionShape shape = shape_of(step, gradient);
    const dnnl::memory rows = rows_of(context, shape, 7);
    StepInfo info{"attention_back", step.where, kernels().name};
    info.bytes = 7 * exec.batch * shape.plane() * gradient.element;
    info.flops = 10.0 * static_cast<double>(exec.batch) * static_cast<double>(shape.cells) * static_cast<double>(shape.plane());
    return {{info, [=](const Run&) {
                 float *first = static_cast<float*>(rows.get_data_handle()), *scratch = first + 7 * shape.plane();
                 const auto map = [&](int64_t i) { return first + i * shape.plane(); };
                 for (int64_t n = 0; n < exec.batch; ++n) {
                     for (int64_t i = 0; i < 3; ++i) to_rows(exec, from[static_cast<size_t>(i)], n, map(i));
                     to_rows(exec, gradient, n, map(3));
                     attend_back(shape, map(0), map(1), map(2), map(3), map(4), map(5), map(6), scratch, exec.threads);
                     for (int64_t i = 0; i < 3; ++i) from_rows(exec, map(4 + i), to[static_cast<size_t>(i)], n);
                 }
             }}};
}

}  // namespace yolo::program
