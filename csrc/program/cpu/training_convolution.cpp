// A convolution, or its transpose, on weights that change with every step, and its two gradients, on oneDNN.
#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

#include "parallel/team.h"
#include "program/cpu/builders.h"
#include "program/cpu/pass.h"
#include "program/cpu/training_amx.h"
#include "program/cpu/training_convolution.h"
#include "program/cpu/training_winograd.h"

namespace yolo::program {

using dnnl::memory;
using Tag = memory::format_tag;
using Type = memory::data_type;

memory::desc Convolution::bias_desc() const {
    return bias < 0 ? memory::desc() : floats_desc(target.channels);
}

memory::desc Convolution::plain_weights() const {
    return {shape.weights, Type::f32, shape.groups > 1 ? Tag::goihw : Tag::oihw};
}

memory::desc Convolution::any_weights(Type type) const {
    return {shape.weights, type, Tag::any};
}

std::vector<int64_t> Convolution::starts() const {
    std::vector<int64_t> found;
    const int64_t size = source.channels / shape.groups * shape.kernel[0] * shape.kernel[1];
    for (const Rows& rows : weights) {
        for (int64_t i = 0; i < rows.count; i += size) found.push_back(rows.offset + i);
    }
    return found;
}

StepInfo Convolution::info(const std::string& kind, const std::string& implementation) const {
    const double flops = static_cast<double>(exec.batch) * shape.flops(source, target);
    return {kind, where, implementation, flops,
            exec.batch * (source.image_bytes() + target.image_bytes()) +
                static_cast<int64_t>(plain_weights().get_size())};
}

// Weights are packed from the vector at every use, into the workspace: packed copies would take as much memory as the
// parameters for a gain that could not be measured. A transposed convolution is the gradient of a convolution from its
// target to its source, so its three passes are the three of that one in another order.
namespace {

Convolution convolution_of(const ExecContext& exec, const Step& step) {
    Convolution c{exec, step.where, step.view("source"), step.view("target"), {}, -1, ConvShape(step)};
    const Numbers& rows = step.numbers("weights");
    for (size_t i = 0; i + 1 < rows.size(); i += 2) c.weights.push_back({rows[i], rows[i + 1]});
    if (step.has("bias")) c.bias = step.number("bias");
    const auto channels = c.shape.weights.end() - 4;
    if (c.shape.transposed) std::swap(channels[0], channels[1]);  // of the convolution that it is the gradient of
    return c;
}

dnnl::convolution_forward::primitive_desc forward_desc(const Convolution& c, const memory::desc& source,
                                                       const memory::desc& target) {
    // A float32 target of bfloat16 products is a head's; its gradient is bfloat16 again.
    return {engine(), dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, source,
            c.any_weights(source.get_data_type()), c.bias_desc(), target, c.shape.stride, c.shape.dilation,
            c.shape.padding, c.shape.padding, user_scratchpad()};
}

// The layout that the maps have, else any: some groups and channel counts have a fast kernel in another one only. With AMX
// bfloat16 has kernels several times as fast where all channels of a pixel lie together, which are worth the way there.
template <class Describe>
auto choose(const Convolution& c, const TensorView& source, const TensorView& target, const std::string& what,
            const Describe& make) {
    std::optional<decltype(make(memory::desc(), memory::desc()))> found;
    const bool amx = !source.wide() && c.shape.groups == 1 && has(dnnl::cpu_isa::avx512_core_amx);
    for (const Tag tag : {amx ? Tag::nhwc : Tag::undef, Tag::undef, Tag::any, Tag::nchw}) {
        const auto layout = [&](const TensorView& view) {
            const memory::desc own = desc_of(c.exec, view);
            return tag == Tag::undef ? own : memory::desc(own.get_dims(), own.get_data_type(), tag);
        };
        try {
            found = make(layout(source), layout(target));
        } catch (const dnnl::error&) {
            continue;  // no kernel at all for this layout
        }
        if (!is_reference(found->impl_info_str())) break;
    }
    if (!found) throw std::invalid_argument(c.where + ": oneDNN has no " + what + " for this convolution");
    return *found;
}

// Weights in one piece: where they lie, or copied together.
const float* packed_rows(const std::vector<Rows>& weights, const float* values, const memory& staging) {
    if (weights.size() == 1) return values + weights[0].offset;
    float* to = static_cast<float*>(staging.get_data_handle());
    for (const Rows& rows : weights) to = std::copy_n(values + rows.offset, rows.count, to);
    return static_cast<const float*>(staging.get_data_handle());
}

// Adds rows that lie one after the other to where they belong in the gradient.
void add_rows(const float* from, const std::vector<Rows>& rows, float* gradient, int threads) {
    for (const Rows& row : rows) {
        parallel::share(threads, row.count, [&](int, int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) gradient[row.offset + i] += from[i];
        });
        from += row.count;
    }
}

struct Kernel {
    dnnl::primitive primitive;
    memory::desc from, to, weights, scratch;
    std::string implementation;
};

// oneDNN's forward, or its backward-data where `data`, between these maps.
Kernel kernel(const Convolution& c, bool data, const TensorView& from, const TensorView& to, const std::string& kind) {
    if (data) {
        const auto pd = choose(c, to, from, kind, [&](const memory::desc& source, const memory::desc& target) {
            return dnnl::convolution_backward_data::primitive_desc(
                engine(), dnnl::algorithm::convolution_direct, source, c.any_weights(source.get_data_type()), target,
                c.shape.stride, c.shape.dilation, c.shape.padding, c.shape.padding, forward_desc(c, source, target),
                user_scratchpad());
        });
        return {dnnl::convolution_backward_data(pd), pd.diff_dst_desc(),   pd.diff_src_desc(),
                pd.weights_desc(),                   pd.scratchpad_desc(), pd.impl_info_str()};
    }
    const auto pd = choose(c, from, to, kind, [&](const memory::desc& source, const memory::desc& target) {
        return forward_desc(c, source, target);
    });
    return {dnnl::convolution_forward(pd), pd.src_desc(),        pd.dst_desc(),
            pd.weights_desc(),             pd.scratchpad_desc(), pd.impl_info_str()};
}

// oneDNN's passes that read weights: `data` says whether it is its backward-data.
CompiledStep direct_from_weights(BuildContext& context, const Spec& c, bool data, const TensorView& from, const TensorView& to,
                          const std::string& kind) {
    const Kernel chosen = kernel(*c, data, from, to, kind);
    auto pass = std::make_shared<Pass>();
    Workspace::Frame frame(context.workspace);
    pass->primitive = chosen.primitive;
    pass->route(c->exec, frame, data ? DNNL_ARG_DIFF_DST : DNNL_ARG_SRC, from, chosen.from, true);
    pass->route(c->exec, frame, data ? DNNL_ARG_DIFF_SRC : DNNL_ARG_DST, to, chosen.to, false);
    pass->arguments[DNNL_ARG_SCRATCHPAD] = frame.take(chosen.scratch);
    memory weights = pass->arguments[DNNL_ARG_WEIGHTS] = frame.take(chosen.weights);
    memory plain(c->plain_weights(), engine(), DNNL_MEMORY_NONE);
    const memory staging = c->weights.size() > 1 ? frame.take(c->plain_weights()) : plain;
    const dnnl::reorder pack(plain, weights);
    const bool biased = !data && c->bias >= 0;
    if (biased) pass->arguments[DNNL_ARG_BIAS] = memory(c->bias_desc(), engine(), DNNL_MEMORY_NONE);
    return {c->info(kind, chosen.implementation), [=](const Run& run) mutable {
                plain.set_data_handle(const_cast<float*>(packed_rows(c->weights, run.values, staging)));
                pack.execute(stream(), plain, weights);
                if (biased) pass->arguments[DNNL_ARG_BIAS].set_data_handle(run.values + c->bias);
                (*pass)();
            }};
}

// oneDNN's to the gradients of weights and bias. `values`: where the source's values lie now.
CompiledStep direct_to_weights(BuildContext& context, const Spec& c, const TensorView& gradient, const TensorView& values) {
    const bool turned = c->shape.transposed;
    const TensorView &source = turned ? gradient : values, &target = turned ? values : gradient;
    const auto describe = [&](const memory::desc& from, const memory::desc& to) {
        return dnnl::convolution_backward_weights::primitive_desc(
            engine(), dnnl::algorithm::convolution_direct, from, c->any_weights(Type::f32), c->bias_desc(), to,
            c->shape.stride, c->shape.dilation, c->shape.padding, c->shape.padding, forward_desc(*c, from, to),
            user_scratchpad());
    };
    const auto pd = choose(*c, source, target, "conv_weights", describe);
    auto pass = std::make_shared<Pass>();
    Workspace::Frame frame(context.workspace);
    pass->primitive = dnnl::convolution_backward_weights(pd);
    pass->route(c->exec, frame, DNNL_ARG_SRC, source, pd.src_desc(), true);
    pass->route(c->exec, frame, DNNL_ARG_DIFF_DST, target, pd.diff_dst_desc(), true);
    pass->arguments[DNNL_ARG_SCRATCHPAD] = frame.take(pd.scratchpad_desc());
    memory weights = pass->arguments[DNNL_ARG_DIFF_WEIGHTS] = frame.take(pd.diff_weights_desc());
    memory bias;
    if (c->bias >= 0) bias = pass->arguments[DNNL_ARG_DIFF_BIAS] = frame.take(c->bias_desc());
    // oneDNN's reorder can add as well, but is 40 times slower then.
    memory plain = frame.take(c->plain_weights());
    const dnnl::reorder unpack(weights, plain);
    return {c->info("conv_weights", pd.impl_info_str()), [=](const Run& run) mutable {
                (*pass)();
                unpack.execute(stream(), weights, plain);
                add_rows(static_cast<const float*>(plain.get_data_handle()), c->weights, run.gradient, c->exec.threads);
                if (c->bias < 0) return;
                const float* from = static_cast<const float*>(bias.get_data_handle());
                for (int64_t i = 0; i < c->target.channels; ++i) run.gradient[c->bias + i] += from[i];
            }};
}

// Of Winograd's kernels, which the verifier has seen to fit (kinds_training.cpp); none where others compute.
std::optional<WinogradForm> form_of(const Convolution& c, const Step& step) {
    const std::string& algorithm = step.text("algorithm");
    if (algorithm == "direct" || algorithm == "amx") return std::nullopt;
    if (algorithm == "winograd_2x2") return WinogradForm::f2_stride2;
    return c.shape.stride[0] == 2 ? WinogradForm::f4_stride2 : WinogradForm::f4;
}

// The two passes that read weights; `data`: the gradient with respect to the source.
CompiledStep from_weights(BuildContext& context, const Step& step, const Spec& c, bool data, const TensorView& from,
                          const TensorView& to, const std::string& kind) {
    if (step.text("algorithm") == "amx" && amx_has(*c, data)) return amx_from_weights(context, c, data, from, to, kind);
    const auto form = form_of(*c, step);
    if (!form) return direct_from_weights(context, c, data != c->shape.transposed, from, to, kind);
    return winograd_from_weights(context, c, *form, data, from, to, kind);
}

CompiledStep to_weights(BuildContext& context, const Step& step, const Spec& c, const TensorView& gradient,
                        const TensorView& values) {
    if (step.text("algorithm") == "amx" && amx_has_gradient(*c)) return amx_to_weights(context, c, gradient, values);
    const auto form = form_of(*c, step);
    if (!form) return direct_to_weights(context, c, gradient, values);
    return winograd_to_weights(context, c, *form, gradient, values);
}

}  // namespace

std::vector<CompiledStep> build_conv_forward(BuildContext& context, const Step& step) {
    const auto c = std::make_shared<Convolution>(convolution_of(context, step));
    context.keep(c);
    return {from_weights(context, step, c, false, c->source, c->target, "conv")};
}

std::vector<CompiledStep> build_conv_backward(BuildContext& context, const Step& step) {
    const Spec c = context.state<Convolution>(step);
    const TensorView& gradient = step.view("gradient");
    const TensorView &source = step.view("source"), *to = step.optional("source_gradient");
    std::vector<CompiledStep> made{to_weights(context, step, c, gradient, source)};
    if (to != nullptr) made.push_back(from_weights(context, step, c, true, gradient, *to, "conv_data"));
    return made;
}

}  // namespace yolo::program
