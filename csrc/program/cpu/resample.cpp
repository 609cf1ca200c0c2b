// Pools and upsampling over whole planes by our own loops, and their gradients.
#include <algorithm>

#include "parallel/team.h"
#include "program/common/kinds.h"
#include "program/cpu/builders.h"

namespace yolo::program {
namespace {

// A step's window, and its loops by format and by how the indices of maxima are kept.
struct Resampling {
    std::string method;
    Window window;
    Index index;

    Resampling(const Step& step, const TensorView& source, const TensorView& target)
        : method(step.text("method")),
          window{source.height,         source.width,          target.height,         target.width,
                 step.number("kernel"), step.number("stride"), step.number("padding")},
          index(step.optional("index") == nullptr ? kNone : index_of(window.kernel)) {}

    void forward(Format format, const void* from, void* to, void* kept) const {
        if (method == "max_pool") return kernels().max_pool[format][index](from, window, to, kept);
        if (method == "average_pool") return kernels().average_pool[format](from, window, to);
        (method == "bilinear" ? kernels().bilinear : kernels().upsample)[format](from, window, to);
    }
    void backward(const float* from, const void* kept, float* to) const {
        if (method == "max_pool") return kernels().max_pool_back[index](from, kept, window, to);
        if (method == "average_pool") return kernels().average_pool_back(from, window, to);
        (method == "bilinear" ? kernels().bilinear_back : kernels().upsample_back)(from, window, to);
    }
};

// Calls action(thread, image, block) for each plane.
template <class Action>
void each_plane(const ExecContext& exec, const TensorView& view, const Action& action) {
    const int64_t blocks = exec.blocks(view);
    parallel::share(exec.threads, exec.batch * blocks, [&](int thread, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) action(thread, i / blocks, i % blocks);
    });
}

// The plane's gradient as floats: where it lies, or summed up in `room`.
const float* gradient_plane(const ExecContext& exec, const Views& gradients, float* room, int64_t n, int64_t b) {
    const TensorView& first = gradients[0];
    if (gradients.size() == 1 && first.wide()) return reinterpret_cast<const float*>(exec.at(first, n, b));
    const void* from[kMostSources];
    for (size_t k = 0; k < gradients.size(); ++k) from[k] = exec.at(gradients[k], n, b);
    const auto number = static_cast<int64_t>(gradients.size());
    kernels().add[format_of(first)](from, number, room, first.pixels());
    return room;
}

}  // namespace

std::vector<CompiledStep> build_resample(BuildContext& context, const Step& step) {
    const ExecContext exec = context;
    const TensorView source = step.view("source"), target = step.view("target");
    const bool indexed = step.optional("index") != nullptr;
    const TensorView index = indexed ? step.view("index") : TensorView{};
    const Resampling resampling(step, source, target);
    StepInfo info{resampling.method, step.where, kernels().name};
    info.bytes = exec.batch * source.channels * (source.pixels() + target.pixels()) * source.element;
    const Window& w = resampling.window;
    const double reach = static_cast<double>(std::min(w.kernel, w.height)) * static_cast<double>(std::min(w.kernel, w.width));
    context.budget.spend(step.where, reach * static_cast<double>(exec.batch * target.channels) * static_cast<double>(target.pixels()));
    return {{info, [=](const Run&) {
                 each_plane(exec, source, [&](int, int64_t n, int64_t b) {
                     void* kept = indexed ? exec.at(index, n, b) : nullptr;
                     resampling.forward(format_of(source), exec.at(source, n, b), exec.at(target, n, b), kept);
                 });
             }}};
}

// The gradient, of the sum of `gradients`, to `source_gradient`.
std::vector<CompiledStep> build_resample_backward(BuildContext& context, const Step& step) {
    const ExecContext exec = context;
    const Views gradients = step.all("gradients");
    const TensorView target = gradients[0], to = step.view("source_gradient");
    const bool indexed = step.optional("index") != nullptr, direct = gradients.size() == 1 && target.wide();
    const TensorView index = indexed ? step.view("index") : TensorView{};
    const Resampling resampling(step, to, target);
    Workspace::Frame frame(context.workspace);
    const int64_t sum_room = direct ? 0 : target.pixels() * exec.block;
    const int64_t out_room = to.wide() ? 0 : to.pixels() * exec.block;
    const dnnl::memory sums = frame.floats(exec.threads * sum_room), outs = frame.floats(exec.threads * out_room);
    StepInfo info{resampling.method + "_back", step.where, kernels().name};
    info.bytes = exec.batch * target.channels * target.element *
                 (to.pixels() + target.pixels() * static_cast<int64_t>(gradients.size()));
    return {{info, [=](const Run&) {
                 auto* const sum = static_cast<float*>(sums.get_data_handle());
                 auto* const out = static_cast<float*>(outs.get_data_handle());
                 each_plane(exec, target, [&](int thread, int64_t n, int64_t b) {
                     const float* from = gradient_plane(exec, gradients, sum + thread * sum_room, n, b);
                     std::byte* made = exec.at(to, n, b);
                     float* floats = to.wide() ? reinterpret_cast<float*>(made) : out + thread * out_room;
                     resampling.backward(from, indexed ? exec.at(index, n, b) : nullptr, floats);
                     if (!to.wide()) kernels().store[kBfloat16](floats, made, to.pixels());
                 });
             }}};
}

}  // namespace yolo::program
