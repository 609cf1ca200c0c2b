// The steps that oneDNN runs.
#include <algorithm>

#include "program/inference/conv_shape.h"
#include "program/inference/program.h"

namespace yolo::program {

using dnnl::memory;
using dnnl::primitive_attr;
using dnnl::prop_kind;

namespace {

using Dims = memory::dims;

constexpr int64_t kFloat = 4;

primitive_attr plain_attributes() {
    primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return attributes;
}

StepInfo info(const std::string& kind, const std::string& where, const std::string& implementation, double flops,
              int64_t bytes) {
    return {kind, where, implementation, flops, bytes, 0.0};
}

}  // namespace

InferenceProgram::ConvPlan InferenceProgram::plan(const Convolution& c, const memory::desc& source,
                                                  const memory::desc& target, bool with_residual) const {
    dnnl::post_ops after;
    if (c.activation != "Identity") {
        const Eltwise a = eltwise(activation(c.activation, c.value));
        after.append_eltwise(a.algorithm, a.alpha, a.beta);
    }
    // The sum comes after the activation. `append_sum` would read the target itself and, after an activation, selects
    // a reference kernel; a binary post-op does neither.
    if (with_residual) after.append_binary(dnnl::algorithm::binary_add, desc(*c.residual));
    primitive_attr attributes = plain_attributes();
    attributes.set_post_ops(after);
    const Dims far = far_padding(c.from, c.to, c.shape);
    const Dims holes{c.shape.dilation[0] - 1, c.shape.dilation[1] - 1};
    const memory::desc packed(weight_dims(c.from, c.to, c.shape), type(), memory::format_tag::any);
    const memory::desc shift =
        c.bias ? memory::desc({c.to.channels}, memory::data_type::f32, memory::format_tag::x) : memory::desc();
    const auto describe = [&](const auto& descriptor, const dnnl::primitive& made) {
        return ConvPlan{made,
                        descriptor.src_desc(),
                        descriptor.weights_desc(),
                        descriptor.dst_desc(),
                        descriptor.scratchpad_desc(),
                        descriptor.impl_info_str(),
                        DNNL_ARG_ATTR_MULTIPLE_POST_OP(after.len() - 1) | DNNL_ARG_SRC_1};
    };
    if (c.shape.transposed) {
        const dnnl::deconvolution_forward::primitive_desc descriptor(
            engine(), prop_kind::forward_inference, dnnl::algorithm::deconvolution_direct, source, packed, shift, target,
            c.shape.stride, holes, c.shape.padding, far, attributes);
        return describe(descriptor, dnnl::deconvolution_forward(descriptor));
    }
    const dnnl::convolution_forward::primitive_desc descriptor(
        engine(), prop_kind::forward_inference, dnnl::algorithm::convolution_direct, source, packed, shift, target,
        c.shape.stride, holes, c.shape.padding, far, attributes);
    return describe(descriptor, dnnl::convolution_forward(descriptor));
}

// What every convolution needs of its maps; the layouts are for the kind to say.
void InferenceProgram::check_conv(const std::string& where, const Convolution& c) const {
    check(where, c.from);
    check(where, c.to, c.float_output);
    require_conv(where, c.from, c.to, c.shape);
    if (c.residual == nullptr) return;
    check(where, *c.residual);
    require(!c.shape.transposed, where, "is transposed, so it adds nothing");
    require_same_shape(where, *c.residual, c.to);
}

void InferenceProgram::conv(const std::string& where, const Convolution& c) {
    check_conv(where, c);
    require_blocked(where, c.to);
    require(!c.from.last, where, "takes no maps whose channels lie together");
    const memory::desc source = desc(c.from), target = desc(c.to, c.float_output);
    ConvPlan chosen = plan(c, source, target, c.residual != nullptr);
    const bool direct = !is_reference(chosen.implementation);
    if (!direct) {
        // Few channels: oneDNN has no blocked kernel. In the layout of its own choice it has one.
        const auto any = memory::format_tag::any;
        chosen = plan(c, {source.get_dims(), source.get_data_type(), any}, {target.get_dims(), target.get_data_type(), any},
                      false);
        refuse_reference(chosen.implementation, where);
    }
    if (!direct) take(where, static_cast<double>(chosen.source.get_size() + chosen.target.get_size()));
    memory from = tensor(c.from), to = tensor(c.to, c.float_output);
    const memory input = direct ? from : memory(chosen.source, engine());
    const memory output = direct ? to : memory(chosen.target, engine());
    Arguments arguments{{DNNL_ARG_SRC, input},
                        {DNNL_ARG_DST, output},
                        {DNNL_ARG_WEIGHTS, constant(where, c.weights + ".weight", chosen.weights)}};
    if (c.bias) {
        const memory::desc shift({c.to.channels}, memory::data_type::f32, memory::format_tag::x);
        arguments.emplace(DNNL_ARG_BIAS, constant(where, c.weights + ".bias", shift));
    }
    if (direct && c.residual != nullptr) arguments.emplace(chosen.residual_argument, tensor(*c.residual));
    if (!direct) move_layout(where, from, input);
    const double pixels = static_cast<double>(c.shape.transposed ? c.from.pixels() : c.to.pixels());
    const auto bytes = static_cast<int64_t>(source.get_size() + target.get_size() + chosen.weights.get_size());
    const double products = product(weight_dims(c.from, c.to, c.shape));
    primitive(info("conv", where, chosen.implementation, 2.0 * products * pixels, bytes), chosen.primitive,
              std::move(arguments), chosen.scratch);
    if (!direct) {
        move_layout(where, output, to);
        if (c.residual != nullptr) add(where, c.to, *c.residual, c.to);
    }
}

void InferenceProgram::move_layout(const std::string& where, memory from, memory to) {
    const auto bytes = static_cast<int64_t>(from.get_desc().get_size() + to.get_desc().get_size());
    primitive(info("reorder", where, "reorder", 0.0, bytes), dnnl::reorder(from, to),
              {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}, memory::desc());
}

void InferenceProgram::pool(const std::string& where, const View& from, const View& to, int64_t kernel, int64_t stride,
                            int64_t padding, bool average) {
    check(where, from);
    check(where, to);
    require_pool(where, from, to, kernel, stride, padding);
    require(!(from.last && average), where, "averages no bytes");
    const auto reach = static_cast<double>(std::min(kernel, from.height)) * static_cast<double>(std::min(kernel, from.width));
    spend(where, reach * static_cast<double>(to.channels) * static_cast<double>(to.pixels()));
    const auto method = average ? dnnl::algorithm::pooling_avg_include_padding : dnnl::algorithm::pooling_max;
    const Dims far{(to.height - 1) * stride + kernel - from.height - padding,
                   (to.width - 1) * stride + kernel - from.width - padding};
    const dnnl::pooling_forward::primitive_desc descriptor(
        engine(), prop_kind::forward_inference, method, desc(from), desc(to), {stride, stride}, {kernel, kernel},
        {0, 0}, {padding, padding}, far, plain_attributes());
    if (is_reference(descriptor.impl_info_str()) && !from.last) {
        return own_pool(where, from, to, kernel, stride, padding, average);
    }
    refuse_reference(descriptor.impl_info_str(), where);
    primitive(info("pool", where, descriptor.impl_info_str(), 0.0, (from.pixels() + to.pixels()) * to.channels * kFloat),
              dnnl::pooling_forward(descriptor), {{DNNL_ARG_SRC, tensor(from)}, {DNNL_ARG_DST, tensor(to)}},
              descriptor.scratchpad_desc());
}

void InferenceProgram::activate(const std::string& where, const View& from, const View& to, const std::string& name,
                                float value) {
    check_blocked(where, from, to);
    require_same_shape(where, from, to);
    const Eltwise a = eltwise(activation(name, value));
    const dnnl::eltwise_forward::primitive_desc descriptor(engine(), prop_kind::forward_inference, a.algorithm,
                                                           desc(from), desc(to), a.alpha, a.beta, plain_attributes());
    primitive(info("activate", where, descriptor.impl_info_str(), 0.0, 2 * to.pixels() * to.channels * kFloat),
              dnnl::eltwise_forward(descriptor), {{DNNL_ARG_SRC, tensor(from)}, {DNNL_ARG_DST, tensor(to)}},
              descriptor.scratchpad_desc());
}

void InferenceProgram::add(const std::string& where, const View& a, const View& b, const View& to) {
    for (const View* from : {&a, &b}) {
        check_blocked(where, *from, to);
        require_same_shape(where, *from, to);
    }
    const dnnl::binary::primitive_desc descriptor(engine(), dnnl::algorithm::binary_add, desc(a), desc(b), desc(to),
                                                  plain_attributes());
    primitive(info("add", where, descriptor.impl_info_str(), 0.0, 3 * to.pixels() * to.channels * kFloat),
              dnnl::binary(descriptor),
              {{DNNL_ARG_SRC_0, tensor(a)}, {DNNL_ARG_SRC_1, tensor(b)}, {DNNL_ARG_DST, tensor(to)}},
              descriptor.scratchpad_desc());
}

}  // namespace yolo::program
