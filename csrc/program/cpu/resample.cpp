// Pools and upsampling over whole planes by our own loops, and their gradients.
#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "parallel/team.h"
#include "program/common/kinds.h"
#include "program/cpu/builders.h"
#include "program/cpu/pass.h"

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

    // Windows may be as large as maps: more work than the maps have numbers.
    void spend(BuildContext& context, const Step& step, const TensorView& target) const {
        const auto rows = static_cast<double>(std::min(window.kernel, window.height));
        const auto columns = static_cast<double>(std::min(window.kernel, window.width));
        const double numbers = static_cast<double>(context.batch * target.channels) * static_cast<double>(target.pixels());
        context.budget.spend(step.where, rows * columns * numbers);
    }
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

// A pool that keeps no places of maxima, on oneDNN; nothing where that has only its reference kernel.
std::vector<CompiledStep> onednn_pool(BuildContext& context, const Step& step) {
    const TensorView &from = step.view("source"), &to = step.view("target");
    const int64_t kernel = step.number("kernel"), stride = step.number("stride"), padding = step.number("padding");
    const bool average = step.text("method") == "average_pool";
    const dnnl::pooling_forward::primitive_desc chosen(
        engine(), dnnl::prop_kind::forward_inference,
        average ? dnnl::algorithm::pooling_avg_include_padding : dnnl::algorithm::pooling_max, desc_of(context, from),
        desc_of(context, to), {stride, stride}, {kernel, kernel}, {0, 0}, {padding, padding},
        {(to.height - 1) * stride + kernel - from.height - padding,
         (to.width - 1) * stride + kernel - from.width - padding},
        user_scratchpad());
    if (is_reference(chosen.impl_info_str())) return {};
    auto pass = std::make_shared<Pass>();
    pass->primitive = dnnl::pooling_forward(chosen);
    pass->arguments = {{DNNL_ARG_SRC, memory_of(context, from)},
                       {DNNL_ARG_DST, memory_of(context, to)},
                       {DNNL_ARG_SCRATCHPAD, Workspace::Frame(context.workspace).take(chosen.scratchpad_desc())}};
    StepInfo info{step.text("method"), step.where, chosen.impl_info_str()};
    info.bytes = (from.pixels() + to.pixels()) * to.channels * from.element;
    return {{info, [pass](const Run&) { (*pass)(); }}};
}

// Bytes whose channels lie together.
void upsample_bytes(const ExecContext& exec, const TensorView& from, const TensorView& to, int64_t scale) {
    const int64_t cell = from.channels;
    parallel::share(exec.threads, to.height, [&](int, int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            const std::byte* line = exec.at(from) + row / scale * from.width * cell;
            std::byte* target = exec.at(to) + row * to.width * cell;
            for (int64_t column = 0; column < to.width; ++column) {
                std::memcpy(target + column * cell, line + column / scale * cell, static_cast<size_t>(cell));
            }
        }
    });
}

}  // namespace

std::vector<CompiledStep> build_resample(BuildContext& context, const Step& step) {
    const ExecContext exec = context;
    const TensorView source = step.view("source"), target = step.view("target");
    const Views& index = step.any("index");
    const Resampling resampling(step, source, target);
    StepInfo info{resampling.method, step.where, kernels().name};
    info.bytes = exec.batch * source.channels * (source.pixels() + target.pixels()) * source.element;
    resampling.spend(context, step, target);
    const bool bytes = source.layout == Layout::nhwc;
    const bool pools = resampling.method == "max_pool" || resampling.method == "average_pool";
    if (pools && index.empty() && (bytes || context.inference)) {
        std::vector<CompiledStep> pool = onednn_pool(context, step);
        if (!pool.empty()) return pool;
        if (bytes) throw std::runtime_error(step.where + ": oneDNN offers only its reference kernel");
    }
    if (bytes) return {{info, [=](const Run&) { upsample_bytes(exec, source, target, resampling.window.stride); }}};
    return {{info, [=](const Run&) {
                 each_plane(exec, source, [&](int, int64_t n, int64_t b) {
                     void* kept = index.empty() ? nullptr : exec.at(index[0], n, b);
                     resampling.forward(format_of(source), exec.at(source, n, b), exec.at(target, n, b), kept);
                 });
             }}};
}

// The gradient, of the sum of `gradients`, to `source_gradient`.
std::vector<CompiledStep> build_resample_backward(BuildContext& context, const Step& step) {
    const ExecContext exec = context;
    const Views gradients = step.all("gradients");
    const TensorView target = gradients[0], to = step.view("source_gradient");
    const bool direct = gradients.size() == 1 && target.wide();
    const Views& index = step.any("index");
    const Resampling resampling(step, to, target);
    resampling.spend(context, step, target);
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
                     resampling.backward(from, index.empty() ? nullptr : exec.at(index[0], n, b), floats);
                     if (!to.wide()) kernels().store[kBfloat16](floats, made, to.pixels());
                 });
             }}};
}

}  // namespace yolo::program
