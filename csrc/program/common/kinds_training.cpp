// Kinds of steps that only training has: convolutions on changing weights, and the backward steps.
#include "program/common/kinds.h"

namespace yolo::program {
namespace {

const Step& forward_of(const Plan& plan, const Step& step) {
    return plan.forward[static_cast<size_t>(step.number("of"))];
}

int64_t size_of(const Numbers& kernel) {
    return kernel[0] * kernel[1];  // both at most kMostSide
}

// A map of the plan's numbers that is all of its buffer.
void require_whole(const Plan& plan, const Step& step, const TensorView& view) {
    require_layout(step, view, plan.layout);
    require(view.first == 0 && view.buffer_channels - view.channels < plan.block, step, "takes whole buffers only");
}

// The rows of weights lie in a vector of this size.
void require_weights(const Plan& plan, const Step& step, int64_t size) {
    const TensorView &source = step.view("source"), &target = step.view("target");
    const Numbers& rows = step.numbers("weights");
    const double wanted = static_cast<double>(source.channels / step.number("groups")) *
                          static_cast<double>(target.channels) * static_cast<double>(size_of(step.numbers("kernel")));
    double found = 0.0;
    for (size_t i = 0; i + 1 < rows.size(); i += 2) {
        require(rows[i] >= 0 && rows[i + 1] >= 1 && rows[i + 1] <= size && rows[i] <= size - rows[i + 1], step,
                "takes values that are not there");
        found += static_cast<double>(rows[i + 1]);
    }
    require(!rows.empty() && rows.size() % 2 == 0 && found == wanted, step, "has weights of another shape");
    require_numbers(step, "bias", target.channels, size);
    require(!step.has("bias") || !step.flag("transposed"), step, "is transposed, so it has no bias");
    require(plan.element == 4 || source.element == 2, step, "its maps have other numbers than the plan");
}

void require_amx(const Plan& plan, const Step& step, const Step& forward) {
    require(fits_amx(plan, forward), step, "is no convolution for AMX");
    require(forward.view("source").element == 2, step, "takes bfloat16 for AMX");
}

// Of one output channel each.
void require_whole_kernels(const Step& step, const Step& forward) {
    const int64_t row = forward.view("source").channels * size_of(forward.numbers("kernel"));
    const Numbers& weights = forward.numbers("weights");
    for (size_t i = 1; i < weights.size(); i += 2) require(weights[i] % row == 0, step, "has pieces of kernels");
}

// `algorithm` is one for which there are kernels; those of our own would read and write elsewhere otherwise.
void require_algorithm(const Plan& plan, const Step& step, const Step& forward) {
    const std::string& algorithm = step.text("algorithm");
    const bool small = algorithm == "winograd_2x2";
    const bool winograd = small || algorithm == "winograd";
    require(winograd || algorithm == "direct" || algorithm == "amx", step, "has an algorithm that is not known");
    if (algorithm == "amx") require_amx(plan, step, forward);
    if (algorithm == "amx" || winograd) require_whole_kernels(step, forward);
    if (!winograd) return;
    for (const char* role : {"source", "target"}) {
        const TensorView& view = forward.view(role);
        require_layout(step, view, Layout::blocked);
        require(view.element == 4 && view.channels % plan.block == 0, step,
                "takes whole blocks of floats for its algorithm");
    }
    const auto all = [&](const char* name, int64_t side) { return forward.numbers(name) == Numbers{side, side}; };
    require(all("kernel", 3) && (all("stride", 2) || (all("stride", 1) && !small)) && all("padding", 1) &&
                all("dilation", 1) && forward.number("groups") == 1 && !forward.flag("transposed") &&
                !forward.has("bias"),
            step, "is no convolution for its algorithm");
}

void check_conv_forward(const Plan& plan, const Step& step) {
    const TensorView &source = step.view("source"), &target = step.view("target");
    require_convolution(plan, step);
    require_whole(plan, step, target);
    const bool plain = source.layout == Layout::nchw && step.number("groups") == 1 && !step.flag("transposed");
    if (!plain) require_whole(plan, step, source);
    const bool sums = target.element == 4 && !step.flag("transposed");
    require(source.element == plan.element && (target.element == plan.element || sums), step,
            "its maps have other numbers than the plan");
    require_weights(plan, step, plan.values);
    require_algorithm(plan, step, step);
}

void check_conv_backward(const Plan& plan, const Step& step) {
    const Step& forward = forward_of(plan, step);
    const TensorView &source = step.view("source"), &gradient = step.view("gradient");
    require_alike(step, source, forward.view("source"));
    require_same_size(step, gradient, forward.view("target"));
    require(gradient.channels == forward.view("target").channels && gradient.element == plan.element, step,
            "its gradient is another map's");
    require_whole(plan, step, gradient);
    if (source.layout == plan.layout) require_whole(plan, step, source);
    if (const TensorView* to = step.optional("source_gradient")) {
        require_whole(plan, step, *to);
        require_same_size(step, *to, source);
        require(to->channels == source.channels && to->element == plan.element, step, "its gradient is another map's");
    }
    require_weights(plan, forward, plan.gradient);
    require_algorithm(plan, step, forward);
}

void check_load_head_gradient(const Plan& plan, const Step& step) {
    require_head(plan, step, step.view("target"));
    require_maps(plan, step, {"target"});
}

// The forward step's source, where that still lies.
void require_source(const Step& step, const Step& forward) {
    const TensorView &source = step.view("source"), &there = forward.view("source");
    require_alike(step, source, there);
    const bool same = source.offset == there.offset && source.first == there.first;
    require(same && source.buffer_channels == there.buffer_channels, step, "reads another map than its forward step");
}

void check_recompute(const Plan& plan, const Step& step) {
    require_source(step, forward_of(plan, step));
    require_maps(plan, step, {"source", "targets", "residual"});
}

void check_norm_backward(const Plan& plan, const Step& step) {
    const Step& forward = forward_of(plan, step);
    require_source(step, forward);
    require_maps(plan, step, {"source", "gradients", "source_gradient", "sum"});
    require(step.view("source").element == plan.element, step, "its maps have other numbers than the plan");
    require(step.optional("sum") == nullptr || (step.all("gradients").size() > 1 && forward.has("bias")), step,
            "has no sum to keep");
    for (const char* name : {"weight", "bias"}) {
        require_numbers(forward, name, step.view("source").channels, plan.gradient);
    }
}

void check_resample_backward(const Plan& plan, const Step& step) {
    const TensorView &to = step.view("source_gradient"), &gradient = step.all("gradients").front();
    require_maps(plan, step, {"gradients"});
    require_maps(plan, step, {"source_gradient"});
    require(to.element == plan.element && gradient.element == plan.element, step,
            "its maps have other numbers than the plan");
    require_window(step, to, gradient);
    const TensorView* index = step.optional("index");
    require((index != nullptr) == (step.text("method") == "max_pool"), step, "has no places of maxima, or needs none");
    if (index != nullptr) require_index(step, *index, gradient);
}

void check_attention_backward(const Plan& plan, const Step& step) {
    require_maps(plan, step,
                 {"query", "key", "value", "gradient", "query_gradient", "key_gradient", "value_gradient"});
    require_heads_of_attention(step, step.view("gradient"));
}

void check_accumulate(const Plan& plan, const Step& step) {
    require_maps(plan, step, {"sources", "target"});
    require(step.view("target").element == plan.element, step, "its maps have other numbers than the plan");
}

}  // namespace

void add_training_kinds(Kinds& kinds) {
    const auto in = Access::read, out = Access::write;
    const AttributeRule of{"of", Type::number}, heads{"heads", Type::number}, number{"number", Type::number},
        algorithm{"algorithm", Type::text};
    std::vector<AttributeRule> conv = convolution_attributes();
    conv.insert(conv.end(), {{"weights", Type::numbers}, {"bias", Type::number, false}, algorithm});
    kinds["conv_forward"] = {{{"source", in}, {"target", out}}, conv, check_conv_forward};
    kinds["conv_backward"] = {{{"source", in}, {"gradient", in}, {"source_gradient", out, 0}}, {of, algorithm},
                              check_conv_backward, {}, "conv_forward"};
    kinds["load_head_gradient"] = {{{"target", out}}, {number}, check_load_head_gradient};
    kinds["load_head_gradient"].phase = Phase::backward;
    kinds["norm_act_add_recompute"] = {{{"source", in}, {"targets", out, 1, 64}, {"residual", in, 0}}, {of},
                                       check_recompute, {}, "norm_act_add"};
    kinds["norm_act_add_backward"] = {{{"source", in}, {"gradients", in, 1, kMostSources}, {"source_gradient", out, 0},
                                       {"sum", out, 0}},
                                      {of}, check_norm_backward, {{"source_gradient", "source"}}, "norm_act_add"};
    kinds["resample_backward"] = {{{"gradients", in, 1, kMostSources}, {"source_gradient", out}, {"index", in, 0}},
                                  window_attributes(), check_resample_backward};
    kinds["attention_backward"] = {{{"query", in}, {"key", in}, {"value", in}, {"gradient", in},
                                    {"query_gradient", out}, {"key_gradient", out}, {"value_gradient", out}},
                                   {heads}, check_attention_backward};
    kinds["accumulate"] = {{{"sources", in, 1, kMostSources}, {"target", out}}, {}, check_accumulate};
}

}  // namespace yolo::program
