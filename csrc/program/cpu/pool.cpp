// Pools on oneDNN, which keep no places of maxima.
#include <algorithm>
#include <memory>

#include "program/cpu/builders.h"
#include "program/cpu/pass.h"

namespace yolo::program {

std::vector<CompiledStep> build_onednn_pool(BuildContext& context, const Step& step) {
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
    StepInfo info{"pool", step.where, chosen.impl_info_str()};
    info.bytes = (from.pixels() + to.pixels()) * to.channels * from.element;
    return {{info, [pass](const Run&) { (*pass)(); }}};
}

}  // namespace yolo::program
