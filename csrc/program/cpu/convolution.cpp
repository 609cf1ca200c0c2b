// Convolutions of inference: constant weights, packed once, with bias, activation and residual in the same kernel.
#include "program/cpu/convolution.h"

#include <memory>

#include "program/cpu/activation.h"
#include "program/cpu/builders.h"
#include "program/cpu/pass.h"

namespace yolo::program {

using dnnl::memory;

ConvShape::ConvShape(const Step& step)
    : kernel(step.numbers("kernel")),
      stride(step.numbers("stride")),
      padding(step.numbers("padding")),
      far_padding(2),
      dilation(step.numbers("dilation")),
      groups(step.number("groups")),
      transposed(step.has("transposed") && step.flag("transposed")) {
    const TensorView &from = step.view("source"), &to = step.view("target");
    const int64_t in[] = {from.height, from.width}, out[] = {to.height, to.width};
    for (size_t axis = 0; axis < 2; ++axis) {
        const int64_t reach = dilation[axis] * (kernel[axis] - 1) + 1;
        // So that the output has the size that the plan says.
        far_padding[axis] = transposed ? (in[axis] - 1) * stride[axis] + reach - padding[axis] - out[axis]
                                       : (out[axis] - 1) * stride[axis] + reach - in[axis] - padding[axis];
        --dilation[axis];
    }
    weights = {to.channels / groups, from.channels / groups, kernel[0], kernel[1]};
    if (groups > 1) weights.insert(weights.begin(), groups);
}

double ConvShape::flops(const TensorView& source, const TensorView& target) const {
    double products = static_cast<double>((transposed ? source : target).pixels());
    for (const int64_t side : weights) products *= static_cast<double>(side);
    return 2.0 * products;
}

void append_activation(const Step& step, dnnl::post_ops& after) {
    if (step.text("activation") == "Identity") return;
    const Eltwise a = eltwise(activation(step.text("activation"), static_cast<float>(step.real("value"))));
    after.append_eltwise(a.algorithm, a.alpha, a.beta);
}

namespace {

struct Kernel {
    dnnl::primitive primitive;
    memory::desc source, weights, target, scratch;
    std::string implementation;
    int residual;  // its argument
};

memory::desc vector_of(int64_t channels) {
    return {{channels}, memory::data_type::f32, memory::format_tag::x};
}

Kernel kernel(const Step& step, const ConvShape& shape, const memory::desc& source, const memory::desc& target,
              const memory::desc& residual) {
    dnnl::post_ops after;
    append_activation(step, after);
    // The sum comes after the activation. `append_sum` would read the target itself and, after an activation, selects
    // a reference kernel; a binary post-op does neither.
    if (residual.get_ndims() > 0) after.append_binary(dnnl::algorithm::binary_add, residual);
    dnnl::primitive_attr attributes = user_scratchpad();
    attributes.set_post_ops(after);
    const memory::desc weights(shape.weights, source.get_data_type(), memory::format_tag::any);
    const memory::desc bias = step.flag("bias") ? vector_of(step.view("target").channels) : memory::desc();
    const auto describe = [&](const auto& chosen, const dnnl::primitive& made) {
        return Kernel{made,
                      chosen.src_desc(),
                      chosen.weights_desc(),
                      chosen.dst_desc(),
                      chosen.scratchpad_desc(),
                      chosen.impl_info_str(),
                      DNNL_ARG_ATTR_MULTIPLE_POST_OP(after.len() - 1) | DNNL_ARG_SRC_1};
    };
    const auto inference = dnnl::prop_kind::forward_inference;
    if (shape.transposed) {
        const dnnl::deconvolution_forward::primitive_desc chosen(
            engine(), inference, dnnl::algorithm::deconvolution_direct, source, weights, bias, target, shape.stride,
            shape.dilation, shape.padding, shape.far_padding, attributes);
        return describe(chosen, dnnl::deconvolution_forward(chosen));
    }
    const dnnl::convolution_forward::primitive_desc chosen(
        engine(), inference, dnnl::algorithm::convolution_direct, source, weights, bias, target, shape.stride,
        shape.dilation, shape.padding, shape.far_padding, attributes);
    return describe(chosen, dnnl::convolution_forward(chosen));
}

memory::desc in_any_layout(const memory::desc& desc) {
    return {desc.get_dims(), desc.get_data_type(), memory::format_tag::any};
}

// target += residual.
Pass sum(const ExecContext& context, const TensorView& target, const TensorView& residual) {
    const memory to = memory_of(context, target), more = memory_of(context, residual);
    const dnnl::binary::primitive_desc chosen(engine(), dnnl::algorithm::binary_add, to.get_desc(), more.get_desc(),
                                              to.get_desc());
    return {dnnl::binary(chosen), {{DNNL_ARG_SRC_0, to}, {DNNL_ARG_SRC_1, more}, {DNNL_ARG_DST, to}}, {}, {}};
}

}  // namespace

std::vector<CompiledStep> build_conv(BuildContext& context, const Step& step) {
    const ConvShape shape(step);
    const TensorView &from = step.view("source"), &to = step.view("target");
    const TensorView* const residual = step.optional("residual");
    const memory::desc source = desc_of(context, from), target = desc_of(context, to);
    Kernel chosen = kernel(step, shape, source, target, residual ? desc_of(context, *residual) : memory::desc());
    const bool direct = !is_reference(chosen.implementation);
    if (!direct) {
        // Few channels: oneDNN has no blocked kernel. In the layout of its own choice it has one.
        chosen = kernel(step, shape, in_any_layout(source), in_any_layout(target), memory::desc());
        refuse_reference(chosen.implementation, step.where);
    }
    auto pass = std::make_shared<Pass>();
    Workspace::Frame frame(context.workspace);
    pass->primitive = chosen.primitive;
    pass->route(context, frame, DNNL_ARG_SRC, from, chosen.source, true);
    pass->route(context, frame, DNNL_ARG_DST, to, chosen.target, false);
    pass->arguments[DNNL_ARG_SCRATCHPAD] = frame.take(chosen.scratch);
    const std::string& name = step.text("weights");
    pass->arguments[DNNL_ARG_WEIGHTS] = context.constant(step.where, name + ".weight", chosen.weights);
    if (step.flag("bias")) {
        pass->arguments[DNNL_ARG_BIAS] = context.constant(step.where, name + ".bias", vector_of(to.channels));
    }
    StepInfo info{"conv", step.where, chosen.implementation, shape.flops(from, to)};
    info.bytes = static_cast<int64_t>(source.get_size() + target.get_size() + chosen.weights.get_size());
    if (direct && residual) pass->arguments[chosen.residual] = memory_of(context, *residual);
    if (direct || !residual) return {{info, [pass](const Run&) { (*pass)(); }}};
    return {{info, [pass, add = sum(context, to, *residual)](const Run&) {
                 (*pass)();
                 add();
             }}};
}

}  // namespace yolo::program
