// Kinds of steps that only infer: convolutions with constant weights, and all that works on bytes.
#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "program/common/kinds.h"

namespace yolo::program {
namespace {

// A convolution that Winograd's algorithm is for, with one of these strides.
void require_three_by_three(const Step& step, std::initializer_list<int64_t> strides) {
    const auto all = [&](const char* name, int64_t side) { return step.numbers(name) == Numbers{side, side}; };
    const bool steps = std::any_of(strides.begin(), strides.end(), [&](int64_t stride) { return all("stride", stride); });
    require(all("kernel", 3) && steps && all("padding", 1) && all("dilation", 1) && step.number("groups") == 1 &&
                !step.flag("transposed"),
            step, "is no convolution for Winograd's algorithm");
}

// What Winograd's kernels take; without it they would read and write elsewhere. "winograd" has tiles of 4x4 outputs,
// "winograd_2x2" smaller ones, of stride 2 alone.
void require_winograd(const Plan& plan, const Step& step, bool smaller) {
    const TensorView &source = step.view("source"), &target = step.view("target");
    for (const TensorView* view : {&source, &target}) {
        require_layout(step, *view, Layout::blocked);
        require(view->element == 4 && view->channels % plan.block == 0, step,
                "takes whole blocks of floats for Winograd's algorithm");
    }
    smaller ? require_three_by_three(step, {2}) : require_three_by_three(step, {1, 2});
}

void check_conv(const Plan& plan, const Step& step) {
    const TensorView &source = step.view("source"), &target = step.view("target");
    require((source.layout == plan.layout || source.layout == Layout::nchw) && source.element == plan.element, step,
            "takes no maps of another layout, or of other numbers than the plan's");
    require_layout(step, target, plan.layout);
    require(target.element == 4 || target.element == plan.element, step, "its maps have other numbers than the plan");
    require_convolution(plan, step);
    const std::string& algorithm = step.text("algorithm");
    const bool smaller = algorithm == "winograd_2x2";
    const bool winograd = smaller || algorithm == "winograd";
    require(winograd || algorithm == "direct" || algorithm == "amx", step, "has an algorithm that is not known");
    if (winograd) require_winograd(plan, step, smaller);
    require(algorithm != "amx" || fits_amx(plan, step), step, "is no convolution for AMX");
    require(algorithm != "amx" || plan.element == 2, step, "takes bfloat16 for AMX");
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

// What the kernels of sums of four products take; their copies of rows with padding stay small.
void require_fours(const Step& step) {
    require(is_plain_convolution(step), step, "is no convolution for sums of four products");
}

// The same for bytes, of which two blocks of channels go through at once.
void require_int8_winograd(const Plan& plan, const Step& step) {
    require(step.view("source").channels % (2 * plan.block) == 0 && step.view("target").channels % plan.block == 0, step,
            "takes whole blocks of bytes for Winograd's algorithm");
    require_three_by_three(step, {1});
}

void check_int8_conv(const Plan& plan, const Step& step) {
    const TensorView& target = step.view("target");
    const std::string& algorithm = step.text("algorithm");
    require_bytes(step, "source");
    // Our own kernels make floats as whoever reads them takes them.
    require_layout(step, target, target.element == 1 || algorithm == "direct" ? Layout::nhwc : Layout::blocked);
    require(target.element == 1 || target.element == 4, step, "makes no such numbers");
    require_scale(step, "source");
    if (target.element == 1) require_scale(step, "target");
    require_convolution(plan, step);
    const bool known = algorithm == "direct" || algorithm == "fours" || algorithm == "winograd" || algorithm == "amx";
    require(known, step, "has an algorithm that is not known");
    if (algorithm == "fours") require_fours(step);
    require(algorithm != "amx" || fits_amx(plan, step), step, "is no convolution for AMX");
    if (algorithm == "winograd") require_int8_winograd(plan, step);
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
    attributes.push_back({"algorithm", Type::text});
    kinds["conv"] = {conv, attributes, check_conv};
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
