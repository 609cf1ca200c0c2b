// Convolutions of bytes with signed 8-bit weights: whole sums, then bias, activation, residual and the step back to
// bytes, in one kernel of oneDNN.
#include "program/inference/conv_shape.h"
#include "program/inference/program.h"

namespace yolo::program {

using dnnl::memory;
using Type = memory::data_type;

namespace {

memory one_float(float value) {
    memory made({{1}, Type::f32, memory::format_tag::x}, engine());
    *static_cast<float*>(made.get_data_handle()) = value;
    return made;
}

memory one_whole(int32_t value) {
    memory made({{1}, Type::s32, memory::format_tag::x}, engine());
    *static_cast<int32_t*>(made.get_data_handle()) = value;
    return made;
}

// What follows the sum. The residual's bytes are added as they are, so the result is counted in its steps before.
dnnl::post_ops after_sum(const Convolution& c, const ConvScales& scales, const memory::desc& residual) {
    dnnl::post_ops after;
    if (c.activation != "Identity") {
        const Eltwise a = eltwise(activation(c.activation, c.value));
        after.append_eltwise(a.algorithm, a.alpha, a.beta);
    }
    if (c.residual != nullptr) {
        const Scale& s = scales.residual;
        after.append_eltwise(dnnl::algorithm::eltwise_linear, 1.0f / s.scale, -static_cast<float>(s.zero));
        after.append_binary(dnnl::algorithm::binary_add, residual);
        if (c.float_output) after.append_eltwise(dnnl::algorithm::eltwise_linear, s.scale, 0.0f);
    }
    return after;
}

dnnl::primitive_attr attributes_of(const Convolution& c, const dnnl::post_ops& after) {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    attributes.set_post_ops(after);
    attributes.set_scales_mask(DNNL_ARG_SRC, 0);
    attributes.set_scales_mask(DNNL_ARG_WEIGHTS, c.shape.groups > 1 ? 3 : 1);
    attributes.set_zero_points_mask(DNNL_ARG_SRC, 0);
    if (!c.float_output) {
        attributes.set_scales_mask(DNNL_ARG_DST, 0);
        attributes.set_zero_points_mask(DNNL_ARG_DST, 0);
    }
    return attributes;
}

}  // namespace

void InferenceProgram::quantised_conv(const std::string& where, const Convolution& c, const ConvScales& scales) {
    check_conv(where, c);
    for (const View* map : {&c.from, &c.to}) require_last(where, *map);
    for (const Scale* scale : {&scales.from, &scales.to, &scales.residual}) require_scale(where, *scale);
    require(!c.shape.transposed && !bf16_, where, "is not a convolution that bytes go through");
    const memory::desc vector({c.to.channels}, Type::f32, memory::format_tag::x);
    const memory::desc kinds(weight_dims(c.from, c.to, c.shape), Type::s8, memory::format_tag::any);
    const dnnl::post_ops after = after_sum(c, scales, c.residual ? desc(*c.residual) : memory::desc());
    const memory::dims holes{c.shape.dilation[0] - 1, c.shape.dilation[1] - 1};
    const dnnl::convolution_forward::primitive_desc chosen(
        engine(), dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, desc(c.from), kinds,
        c.bias ? vector : memory::desc(), desc(c.to, c.float_output), c.shape.stride, holes, c.shape.padding,
        far_padding(c.from, c.to, c.shape), attributes_of(c, after));
    refuse_reference(chosen.impl_info_str(), where);
    Arguments arguments{
        {DNNL_ARG_SRC, tensor(c.from)},
        {DNNL_ARG_DST, tensor(c.to, c.float_output)},
        {DNNL_ARG_WEIGHTS, constant(where, c.weights + ".weight", chosen.weights_desc())},
        {DNNL_ARG_ATTR_SCALES | DNNL_ARG_SRC, one_float(scales.from.scale)},
        {DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS, constant(where, c.weights + ".scale", vector)},
        {DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_SRC, one_whole(scales.from.zero)},
    };
    if (c.bias) arguments.emplace(DNNL_ARG_BIAS, constant(where, c.weights + ".bias", vector));
    if (!c.float_output) {
        const float steps = c.residual ? scales.to.scale / scales.residual.scale : scales.to.scale;
        arguments.emplace(DNNL_ARG_ATTR_SCALES | DNNL_ARG_DST, one_float(steps));
        arguments.emplace(DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_DST, one_whole(scales.to.zero));
    }
    if (c.residual) {
        const int place = c.activation == "Identity" ? 1 : 2;
        arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(place) | DNNL_ARG_SRC_1, tensor(*c.residual));
    }
    const double products = product(weight_dims(c.from, c.to, c.shape)) * static_cast<double>(c.to.pixels());
    const auto bytes = static_cast<int64_t>(chosen.src_desc().get_size() + chosen.dst_desc().get_size() +
                                            chosen.weights_desc().get_size());
    primitive({"conv", where, chosen.impl_info_str(), 2.0 * products, bytes, 0.0},
              dnnl::convolution_forward(chosen), std::move(arguments), chosen.scratchpad_desc());
}

}  // namespace yolo::program
