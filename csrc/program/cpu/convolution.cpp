// Convolutions of inference, on floats or on bytes: constant weights, packed once, with bias, activation and residual in
// the same kernel.
#include "program/cpu/convolution.h"

#include <array>
#include <functional>
#include <memory>

#include "program/cpu/activation.h"
#include "program/cpu/amx_convolution.h"
#include "program/cpu/builders.h"
#include "program/cpu/int8.h"
#include "program/cpu/int8_finish.h"
#include "program/cpu/pass.h"
#include "program/cpu/pieces.h"
#include "program/cpu/winograd.h"

namespace yolo::program {

using dnnl::memory;
using Type = memory::data_type;

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

namespace {

struct Kernel {
    dnnl::primitive primitive;
    memory::desc source, weights, target, scratch;
    std::string implementation;
    int residual = 0;  // its argument, where a post-op adds it
};

// Between maps in these layouts, with weights of this type.
Kernel kernel(const Step& step, const ConvShape& shape, const memory::desc& source, const memory::desc& target,
              Type type, const dnnl::primitive_attr& attributes) {
    const memory::desc weights(shape.weights, type, memory::format_tag::any);
    const memory::desc bias = step.flag("bias") ? floats_desc(step.view("target").channels) : memory::desc();
    const auto describe = [&](const auto& chosen, const dnnl::primitive& made) {
        Kernel found{made, chosen.src_desc(), chosen.weights_desc(), chosen.dst_desc(), chosen.scratchpad_desc(),
                     chosen.impl_info_str()};
        const dnnl::post_ops after = attributes.get_post_ops();
        for (int i = 0; i < after.len(); ++i) {
            const bool adds = after.kind(i) == dnnl::primitive::kind::binary;
            if (adds) found.residual = DNNL_ARG_ATTR_MULTIPLE_POST_OP(i) | DNNL_ARG_SRC_1;
        }
        return found;
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

// The kernel between the step's maps, through changes of layout where it wants another, with the constants.
std::shared_ptr<Pass> pass_of(BuildContext& context, const Step& step, const Kernel& chosen) {
    const auto pass = std::make_shared<Pass>();
    Workspace::Frame frame(context.workspace);
    const TensorView& target = step.view("target");
    const std::string& name = step.text("weights");
    pass->primitive = chosen.primitive;
    pass->route(context, frame, DNNL_ARG_SRC, step.view("source"), chosen.source, true);
    pass->route(context, frame, DNNL_ARG_DST, target, chosen.target, false);
    pass->arguments[DNNL_ARG_SCRATCHPAD] = frame.take(chosen.scratch);
    pass->arguments[DNNL_ARG_WEIGHTS] = context.constant(step.where, name + ".weight", chosen.weights);
    if (step.flag("bias")) {
        pass->arguments[DNNL_ARG_BIAS] = context.constant(step.where, name + ".bias", floats_desc(target.channels));
    }
    if (chosen.residual != 0) pass->arguments[chosen.residual] = memory_of(context, step.view("residual"));
    return pass;
}

StepInfo info_of(const ExecContext& context, const Step& step, const ConvShape& shape, const Kernel& chosen) {
    const TensorView &from = step.view("source"), &to = step.view("target");
    const size_t maps = desc_of(context, from).get_size() + desc_of(context, to).get_size();
    return {"conv", step.where, chosen.implementation, shape.flops(from, to),
            static_cast<int64_t>(maps + chosen.weights.get_size())};
}

// Activations that oneDNN computes by a long series: a pass of our own over the finished sums takes less (SiLU 2.5 ns a
// vector of 8, oneDNN's 6.3), and adds the residual on its way. bfloat16 would round its sums once more.
bool has_own_pass(const Step& step) {
    const TensorView& to = step.view("target");
    const Function function = activation_of(step).function;
    const bool costly = function == Function::silu || function == Function::mish || function == Function::elu;
    return costly && to.wide() && step.view("source").wide() && to.layout == Layout::blocked;
}

// target = f(target) + residual.
std::function<void()> own_pass(const ExecContext& exec, const Step& step) {
    const TensorView to = step.view("target");
    const TensorView* const residual = step.optional("residual");
    const auto more = residual == nullptr ? nullptr : std::make_shared<const TensorView>(*residual);
    const Activation activation = activation_of(step);
    return [=] {
        static constexpr float kZeros[kMostLanes] = {};
        static const std::array<float, kMostLanes> ones = [] {
            std::array<float, kMostLanes> all;
            all.fill(1.0f);
            return all;
        }();
        const Affine itself{kZeros, ones.data(), kZeros};
        each_piece(exec, to, [&](const Piece& piece) {
            std::byte* const numbers = at(exec, to, piece);
            const void* const added = more == nullptr ? nullptr : at(exec, *more, piece);
            kernels().activate[kFloat32](numbers, itself, activation, added, numbers, piece.count);
        });
    };
}

// Of floats. The residual is added after the activation. `append_sum` would read the target itself and, after an
// activation, selects a reference kernel; a binary post-op does neither.
dnnl::primitive_attr float_attributes(const ExecContext& context, const Step& step, bool adds) {
    dnnl::post_ops after;
    if (!has_own_pass(step)) append_activation(step, after);
    if (adds) after.append_binary(dnnl::algorithm::binary_add, desc_of(context, step.view("residual")));
    dnnl::primitive_attr attributes = user_scratchpad();
    attributes.set_post_ops(after);
    return attributes;
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

template <class Value>
memory one(Value value, Type type) {
    memory made({{1}, type, memory::format_tag::x}, engine());
    *static_cast<Value*>(made.get_data_handle()) = value;
    return made;
}

// Of bytes. The residual's are added as they are, so the result is counted in its steps before.
dnnl::primitive_attr byte_attributes(const ExecContext& context, const Step& step, const ConvShape& shape) {
    const bool wide = step.view("target").wide();
    dnnl::post_ops after;
    append_activation(step, after);
    if (const TensorView* residual = step.optional("residual")) {
        const Scale scale(step, "residual");
        after.append_eltwise(dnnl::algorithm::eltwise_linear, 1.0f / scale.step, -static_cast<float>(scale.zero));
        after.append_binary(dnnl::algorithm::binary_add, desc_of(context, *residual));
        if (wide) after.append_eltwise(dnnl::algorithm::eltwise_linear, scale.step, 0.0f);
    }
    dnnl::primitive_attr attributes = user_scratchpad();
    attributes.set_post_ops(after);
    attributes.set_scales_mask(DNNL_ARG_SRC, 0);
    attributes.set_scales_mask(DNNL_ARG_WEIGHTS, shape.groups > 1 ? 3 : 1);
    attributes.set_zero_points_mask(DNNL_ARG_SRC, 0);
    if (!wide) {
        attributes.set_scales_mask(DNNL_ARG_DST, 0);
        attributes.set_zero_points_mask(DNNL_ARG_DST, 0);
    }
    return attributes;
}

void add_scales(Pass& pass, const Step& step) {
    const Scale source(step, "source");
    pass.arguments[DNNL_ARG_ATTR_SCALES | DNNL_ARG_SRC] = one(source.step, Type::f32);
    pass.arguments[DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_SRC] = one(source.zero, Type::s32);
    if (!step.view("target").wide()) {
        const Scale target(step, "target");
        const bool adds = step.optional("residual") != nullptr;
        const float steps = adds ? target.step / Scale(step, "residual").step : target.step;
        pass.arguments[DNNL_ARG_ATTR_SCALES | DNNL_ARG_DST] = one(steps, Type::f32);
        pass.arguments[DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_DST] = one(target.zero, Type::s32);
    }
}

}  // namespace

std::vector<CompiledStep> build_conv(BuildContext& context, const Step& step) {
    const std::string& algorithm = step.text("algorithm");
    if (algorithm == "amx") return build_amx_conv(context, step);
    if (algorithm != "direct") return build_winograd_conv(context, step);
    const ConvShape shape(step);
    const TensorView& to = step.view("target");
    const TensorView* const residual = step.optional("residual");
    const bool own = has_own_pass(step);
    const memory::desc source = desc_of(context, step.view("source")), target = desc_of(context, to);
    const Type type = source.get_data_type();
    Kernel chosen =
        kernel(step, shape, source, target, type, float_attributes(context, step, residual != nullptr && !own));
    if (is_reference(chosen.implementation)) {
        // Few channels: oneDNN has no blocked kernel. In the layout of its own choice it has one.
        const memory::desc from = in_any_layout(source), into = in_any_layout(target);
        chosen = kernel(step, shape, from, into, type, float_attributes(context, step, false));
        refuse_reference(chosen.implementation, step.where);
    }
    const auto pass = pass_of(context, step, chosen);
    const StepInfo info = info_of(context, step, shape, chosen);
    if (own) {
        return {{info, [pass, activate = own_pass(context, step)](const Run&) {
                     (*pass)();
                     activate();
                 }}};
    }
    if (residual == nullptr || chosen.residual != 0) return {{info, [pass](const Run&) { (*pass)(); }}};
    return {{info, [pass, add = sum(context, to, *residual)](const Run&) {
                 (*pass)();
                 add();
             }}};
}

// Signed 8-bit weights: whole sums, then bias, activation, residual and the step back to bytes, in one kernel.
std::vector<CompiledStep> build_int8_conv(BuildContext& context, const Step& step) {
    if (step.text("algorithm") == "amx") return build_amx_int8_conv(context, step);
    if (step.text("algorithm") == "fours") return build_fours_conv(context, step);
    if (step.text("algorithm") == "winograd") return build_int8_winograd_conv(context, step);
    const ConvShape shape(step);
    const memory::desc source = desc_of(context, step.view("source")), target = desc_of(context, step.view("target"));
    const Kernel chosen = kernel(step, shape, source, target, Type::s8, byte_attributes(context, step, shape));
    refuse_reference(chosen.implementation, step.where);
    const auto pass = pass_of(context, step, chosen);
    pass->arguments[DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS] = context.constant(
        step.where, step.text("weights") + ".scale", floats_desc(step.view("target").channels));
    add_scales(*pass, step);
    return {{info_of(context, step, shape, chosen), [pass](const Run&) { (*pass)(); }}};
}

}  // namespace yolo::program
