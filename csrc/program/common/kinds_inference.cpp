// Kinds of steps that only infer: convolutions with constant weights, and all that works on bytes.
#include <cmath>

#include "program/common/kinds.h"

namespace yolo::program {
namespace {

// What kernels of our own take; without it they would read and write elsewhere. "winograd" has tiles of 4x4 outputs,
// "winograd_2x2" smaller ones.
void require_own_kernels(const Plan& plan, const Step& step, const std::string& algorithm) {
    const TensorView &source = step.view("source"), &target = step.view("target");
    for (const TensorView* view : {&source, &target}) {
        require_layout(step, *view, Layout::blocked);
        require(view->element == 4 && view->channels % plan.block == 0, step, "takes whole blocks of floats here");
    }
    const auto all = [&](const char* name, int64_t side) { return step.numbers(name) == Numbers{side, side}; };
    const bool plain = all("dilation", 1) && step.number("groups") == 1 && !step.flag("transposed");
    const bool threes = all("kernel", 3) && all("padding", 1);
    const bool fits = algorithm == "winograd"       ? threes && (all("stride", 1) || all("stride", 2))
                      : algorithm == "winograd_2x2" ? threes && all("stride", 2)
                                                    : all("kernel", 1) && all("padding", 0) && all("stride", 1);
    require(plain && fits, step, "is no convolution for its algorithm");
}

void check_conv(const Plan& plan, const Step& step) {
    const TensorView &source = step.view("source"), &target = step.view("target");
    require((source.layout == plan.layout || source.layout == Layout::nchw) && source.element == plan.element, step,
            "takes no maps of another layout, or of other numbers than the plan's");
    require_layout(step, target, plan.layout);
    require(target.element == 4 || target.element == plan.element, step, "its maps have other numbers than the plan");
    require_convolution(plan, step);
    const std::string& algorithm = step.text("algorithm");
    const bool own = algorithm == "winograd" || algorithm == "winograd_2x2" || algorithm == "matmul";
    require(own || algorithm == "direct", step, "has an algorithm that is not known");
    if (own) require_own_kernels(plan, step, algorithm);
    if (const TensorView* residual = step.optional("residual")) {
        require(!step.flag("transposed"), step, "is transposed, so it adds nothing");
        require_same_shape(step, *residual, target);
        require(residual->element == plan.element, step, "its maps have other numbers than the plan");
        require_layout(step, *residual, plan.layout);
    }
}

void require_scale(const Step& step, const std::string& role) {
    const std::string size = role + "_step", zero = role + "_zero";
    require(step.has(size) && step.has(zero), step, "a scale is not there");
    const auto value = static_cast<float>(step.real(size));
    require(std::isfinite(value) && value > 0.0f && step.number(zero) >= 0 && step.number(zero) <= 255, step,
            "a scale is not one that bytes can have");
}

void require_bytes(const Step& step, const char* role) {
    require_layout(step, step.view(role), Layout::nhwc);
    require(step.view(role).element == 1, step, "takes maps of bytes");
}

void check_int8_conv(const Plan& plan, const Step& step) {
    const TensorView& target = step.view("target");
    require_bytes(step, "source");
    require_layout(step, target, Layout::nhwc);
    require(target.element == 1 || target.element == 4, step, "makes no such numbers");
    require_scale(step, "source");
    if (target.element == 1) require_scale(step, "target");
    require_convolution(plan, step);
    if (step.optional("residual") == nullptr) return;
    require_bytes(step, "residual");
    require_scale(step, "residual");
    require_same_shape(step, step.view("residual"), target);
}

// Floats, blocked, and the bytes for them.
void check_turn(const Step& step, const char* floats, const char* bytes) {
    require_layout(step, step.view(floats), Layout::blocked);
    require_bytes(step, bytes);
    require(step.view(floats).element == 4, step, "knows floats only");
    require_same_shape(step, step.view(floats), step.view(bytes));
    require_scale(step, "scale");
}

void check_quantise(const Plan&, const Step& step) {
    check_turn(step, "source", "target");
}

void check_dequantise(const Plan&, const Step& step) {
    check_turn(step, "target", "source");
}

void check_copy(const Plan&, const Step& step) {
    const int64_t count = step.number("count");
    require_bytes(step, "source");
    require_bytes(step, "target");
    require_same_size(step, step.view("source"), step.view("target"));
    for (const char* role : {"source", "target"}) {
        const int64_t first = step.number(std::string(role) + "_first");
        require(first >= 0 && count >= 1 && first <= step.view(role).channels - count, step,
                "takes channels that are not there");
    }
}

}  // namespace

void add_inference_kinds(Kinds& kinds) {
    const auto in = Access::read, out = Access::write;
    const std::vector<AttributeRule> scale{{"scale_step", Type::real}, {"scale_zero", Type::number}};
    const std::vector<Role> move{{"source", in}, {"target", out}};
    const std::vector<Role> conv{{"source", in}, {"target", out}, {"residual", in, 0}};
    std::vector<AttributeRule> attributes = convolution_attributes();
    attributes.insert(attributes.end(), {{"weights", Type::text}, {"bias", Type::flag}, {"activation", Type::text},
                                         {"value", Type::real}});
    std::vector<AttributeRule> floats = attributes;
    floats.push_back({"algorithm", Type::text});
    kinds["conv"] = {conv, floats, check_conv};
    for (const char* step : {"source_step", "target_step", "residual_step"}) {
        attributes.push_back({step, Type::real, false});
    }
    for (const char* zero : {"source_zero", "target_zero", "residual_zero"}) {
        attributes.push_back({zero, Type::number, false});
    }
    kinds["int8_conv"] = {conv, attributes, check_int8_conv};
    kinds["quantise"] = {move, scale, check_quantise};
    kinds["dequantise"] = {move, scale, check_dequantise};
    kinds["copy_bytes"] = {move,
                           {{"source_first", Type::number}, {"target_first", Type::number}, {"count", Type::number}},
                           check_copy};
}

}  // namespace yolo::program
