// Convolutions of bytes with signed 8-bit weights: whole sums, then bias, activation, residual and the step back to
// bytes, in one kernel of oneDNN.
#include <memory>

#include "program/cpu/builders.h"
#include "program/cpu/convolution.h"
#include "program/cpu/pass.h"

namespace yolo::program {

using dnnl::memory;
using Type = memory::data_type;

namespace {

// What the bytes of a map stand for: step * (byte - zero).
struct Scale {
    float step;
    int32_t zero;

    Scale(const Step& of, const std::string& role)
        : step(static_cast<float>(of.real(role + "_step"))), zero(static_cast<int32_t>(of.number(role + "_zero"))) {}
};

template <class Value>
memory one(Value value, Type type) {
    memory made({{1}, type, memory::format_tag::x}, engine());
    *static_cast<Value*>(made.get_data_handle()) = value;
    return made;
}

// What follows the sum. The residual's bytes are added as they are, so the result is counted in its steps before.
dnnl::post_ops after_sum(const ExecContext& context, const Step& step) {
    dnnl::post_ops after;
    append_activation(step, after);
    if (const TensorView* residual = step.optional("residual")) {
        const Scale scale(step, "residual");
        after.append_eltwise(dnnl::algorithm::eltwise_linear, 1.0f / scale.step, -static_cast<float>(scale.zero));
        after.append_binary(dnnl::algorithm::binary_add, desc_of(context, *residual));
        if (step.view("target").wide()) after.append_eltwise(dnnl::algorithm::eltwise_linear, scale.step, 0.0f);
    }
    return after;
}

dnnl::primitive_attr attributes_of(const ExecContext& context, const Step& step, const ConvShape& shape) {
    dnnl::primitive_attr attributes = user_scratchpad();
    attributes.set_post_ops(after_sum(context, step));
    attributes.set_scales_mask(DNNL_ARG_SRC, 0);
    attributes.set_scales_mask(DNNL_ARG_WEIGHTS, shape.groups > 1 ? 3 : 1);
    attributes.set_zero_points_mask(DNNL_ARG_SRC, 0);
    if (!step.view("target").wide()) {
        attributes.set_scales_mask(DNNL_ARG_DST, 0);
        attributes.set_zero_points_mask(DNNL_ARG_DST, 0);
    }
    return attributes;
}

void add_scales(Pass& pass, const ExecContext& context, const Step& step) {
    const Scale source(step, "source");
    const TensorView* const residual = step.optional("residual");
    pass.arguments[DNNL_ARG_ATTR_SCALES | DNNL_ARG_SRC] = one(source.step, Type::f32);
    pass.arguments[DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_SRC] = one(source.zero, Type::s32);
    if (!step.view("target").wide()) {
        const Scale target(step, "target");
        const float steps = residual ? target.step / Scale(step, "residual").step : target.step;
        pass.arguments[DNNL_ARG_ATTR_SCALES | DNNL_ARG_DST] = one(steps, Type::f32);
        pass.arguments[DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_DST] = one(target.zero, Type::s32);
    }
    if (residual) {
        const int place = step.text("activation") == "Identity" ? 1 : 2;
        pass.arguments[DNNL_ARG_ATTR_MULTIPLE_POST_OP(place) | DNNL_ARG_SRC_1] = memory_of(context, *residual);
    }
}

}  // namespace

std::vector<CompiledStep> build_int8_conv(BuildContext& context, const Step& step) {
    const ConvShape shape(step);
    const TensorView &from = step.view("source"), &to = step.view("target");
    const memory::desc vector({to.channels}, Type::f32, memory::format_tag::x);
    const dnnl::convolution_forward::primitive_desc chosen(
        engine(), dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, desc_of(context, from),
        {shape.weights, Type::s8, memory::format_tag::any}, step.flag("bias") ? vector : memory::desc(),
        desc_of(context, to), shape.stride, shape.dilation, shape.padding, shape.far_padding,
        attributes_of(context, step, shape));
    refuse_reference(chosen.impl_info_str(), step.where);
    auto pass = std::make_shared<Pass>();
    const std::string& name = step.text("weights");
    pass->primitive = dnnl::convolution_forward(chosen);
    pass->arguments = {{DNNL_ARG_SRC, memory_of(context, from)},
                       {DNNL_ARG_DST, memory_of(context, to)},
                       {DNNL_ARG_WEIGHTS, context.constant(step.where, name + ".weight", chosen.weights_desc())},
                       {DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS, context.constant(step.where, name + ".scale", vector)},
                       {DNNL_ARG_SCRATCHPAD, Workspace::Frame(context.workspace).take(chosen.scratchpad_desc())}};
    if (step.flag("bias")) pass->arguments[DNNL_ARG_BIAS] = context.constant(step.where, name + ".bias", vector);
    add_scales(*pass, context, step);
    StepInfo info{"conv", step.where, chosen.impl_info_str(), shape.flops(from, to)};
    info.bytes = static_cast<int64_t>(chosen.src_desc().get_size() + chosen.dst_desc().get_size() +
                                      chosen.weights_desc().get_size());
    return {{info, [pass](const Run&) { (*pass)(); }}};
}

}  // namespace yolo::program
