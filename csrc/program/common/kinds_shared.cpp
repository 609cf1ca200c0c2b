// Kinds of steps of inference and training alike.
#include <algorithm>
#include <cmath>

#include "program/common/kinds.h"

namespace yolo::program {
namespace {

bool in_range(int64_t number, int64_t least = 1, int64_t most = kMostSide) {
    return number >= least && number <= most;
}

void check_load(const Plan& plan, const Step& step) {
    const TensorView& target = step.view("target");
    require(target.channels == plan.images[1] && target.height == plan.images[2] && target.width == plan.images[3], step,
            "its map has another shape than the images");
    const bool bytes = target.layout == Layout::nhwc && plan.layout != Layout::nhwc;  // of int8
    require(target.element == (bytes ? 1 : plan.element), step, "its map has other numbers than the plan");
    require(std::isfinite(step.real("divisor")) && step.real("divisor") > 0.0, step, "divides by what is no divisor");
}

void check_store(const Plan& plan, const Step& step) {
    const TensorView& source = step.view("source");
    require_head(plan, step, source);
    const bool numbers = source.element == 4 || source.element == plan.element;
    const bool own = source.layout == plan.layout && numbers, sums = source.layout == Layout::nhwc && source.element == 4;
    require(own || sums, step, "takes no such map");
}

void check_resample(const Plan& plan, const Step& step) {
    const TensorView &source = step.view("source"), &target = step.view("target");
    const bool bytes = source.layout == Layout::nhwc && plan.layout != Layout::nhwc;  // of int8, which makes no others
    for (const TensorView* view : {&source, &target}) {
        require_layout(step, *view, bytes ? Layout::nhwc : plan.layout);
        require(view->element == (bytes ? 1 : plan.element), step, "its maps have other numbers than the plan");
    }
    const std::string& method = step.text("method");
    const bool moves = (method == "max_pool" || method == "upsample") && step.optional("index") == nullptr;
    require(!bytes || moves, step, "moves no such bytes");
    require_window(step, source, target);
    if (const TensorView* index = step.optional("index")) require_index(step, *index, target);
}

void check_moves(const Plan& plan, const Step& step) {
    const TensorView &fine = step.view("fine"), &coarse = step.view("coarse");
    const bool plain = fine.layout == Layout::nchw && step.kind == "gather";
    require_layout(step, coarse, plan.layout);
    require_layout(step, fine, plain ? Layout::nchw : plan.layout);
    require(fine.element == plan.element && coarse.element == plan.element, step,
            "its maps have other numbers than the plan");
    const Numbers& index = step.numbers("index");
    require(static_cast<int64_t>(index.size()) == 3 * coarse.channels, step, "has no entry for each of its channels");
    for (size_t i = 0; i < index.size(); i += 3) {
        require(in_range(index[i], 0, fine.channels - 1), step, "takes channels that are not there");
        require(in_range(index[i + 1], -kMostSide) && in_range(index[i + 2], -kMostSide), step, "moves too far");
    }
    require(in_range(step.number("stride")), step, "kernel or stride is out of range");
}

void check_attention(const Plan& plan, const Step& step) {
    require_maps(plan, step, {"query", "key", "value", "target"});
    require_heads_of_attention(step, step.view("target"));
}

void check_norm_act_add(const Plan& plan, const Step& step) {
    require_maps(plan, step, {"source", "targets", "residual"});
    for (const char* name : {"weight", "bias", "mean", "variance"}) {
        require_numbers(step, name, step.view("source").channels, plan.values);
        const bool normalises = step.has("weight") && std::string(name) != "bias";
        require(!normalises || step.has(name), step, "has not all of a batch norm");
    }
    require(!step.has("weight") || (step.has("bias") && step.real("eps") > 0.0), step, "has not all of a batch norm");
}

}  // namespace

void require_head(const Plan& plan, const Step& step, const TensorView& view) {
    const int64_t number = step.number("number");
    require(in_range(number, 0, static_cast<int64_t>(plan.heads.size()) - 1), step, "is a head that is not there");
    const Numbers& head = plan.heads[static_cast<size_t>(number)];
    require(view.channels == head[1] && view.height == head[2] && view.width == head[3], step,
            "its map has another shape than the head");
}

void require_heads_of_attention(const Step& step, const TensorView& view) {
    const int64_t heads = step.number("heads");
    require(in_range(heads) && view.channels % heads == 0, step, "its channels do not divide into heads");
}

void require_numbers(const Step& step, const char* offset, int64_t count, int64_t size) {
    require(!step.has(offset) || in_range(step.number(offset), 0, size - count), step, "takes values that are not there");
}

void require_index(const Step& step, const TensorView& index, const TensorView& target) {
    const int64_t kernel = step.number("kernel");
    require(step.text("method") == "max_pool" && kernel <= 256, step, "keeps no places of maxima");
    require_layout(step, index, target.layout);
    require_same_size(step, index, target);
    require(index.channels == target.channels && index.element == (kernel * kernel <= 256 ? 1 : 2), step,
            "its places of maxima do not fit");
}

std::vector<AttributeRule> convolution_attributes() {
    std::vector<AttributeRule> all{{"groups", Type::number}, {"transposed", Type::flag}};
    for (const char* pair : {"kernel", "stride", "padding", "dilation"}) all.push_back({pair, Type::numbers});
    return all;
}

bool is_plain_convolution(const Step& step) {
    constexpr int64_t kMostKernel = 16;  // so that copies stay small
    for (const size_t axis : {0, 1}) {
        const int64_t kernel = step.numbers("kernel")[axis];
        if (kernel > kMostKernel || step.numbers("padding")[axis] >= kernel) return false;
    }
    return step.numbers("dilation") == Numbers{1, 1} && step.number("groups") == 1 && !step.flag("transposed");
}

bool fits_amx(const Plan& plan, const Step& step) {
    return is_plain_convolution(step) && plan.block == 16;
}

void require_convolution(const Plan& plan, const Step& step) {
    const TensorView &source = step.view("source"), &target = step.view("target");
    for (const TensorView* view : {&source, &target}) {
        const bool whole = view->buffer_channels - view->channels < plan.block && view->first == 0;
        require(plan.batch() == 1 || whole || plan.layout == Layout::nhwc, step, "takes whole maps of a batch");
    }
    for (const char* name : {"kernel", "stride", "padding", "dilation"}) {
        const Numbers& pair = step.numbers(name);
        const int64_t least = std::string(name) == "padding" ? 0 : 1;
        require(pair.size() == 2 && in_range(pair[0], least) && in_range(pair[1], least), step,
                "kernel, stride, padding or dilation is out of range");
    }
    const int64_t groups = step.number("groups");
    require(groups >= 1 && source.channels % groups == 0 && target.channels % groups == 0, step,
            "its channels do not divide into its groups");
    const int64_t in[] = {source.height, source.width}, out[] = {target.height, target.width};
    for (size_t axis = 0; axis < 2; ++axis) {
        const int64_t stride = step.numbers("stride")[axis], dilation = step.numbers("dilation")[axis];
        const int64_t reach = dilation * (step.numbers("kernel")[axis] - 1) + 1, padding = 2 * step.numbers("padding")[axis];
        if (step.flag("transposed")) {
            const int64_t extra = out[axis] - ((in[axis] - 1) * stride - padding + reach);
            require(extra >= 0 && extra < std::max(stride, dilation), step, "its output has another size");
        } else {
            require(in[axis] + padding >= reach && out[axis] == (in[axis] + padding - reach) / stride + 1, step,
                    "its output has another size");
        }
    }
}

std::vector<AttributeRule> window_attributes() {
    return {{"method", Type::text}, {"kernel", Type::number}, {"stride", Type::number}, {"padding", Type::number}};
}

void require_window(const Step& step, const TensorView& source, const TensorView& target) {
    const std::string& method = step.text("method");
    const int64_t kernel = step.number("kernel"), stride = step.number("stride"), padding = step.number("padding");
    require(in_range(kernel) && in_range(stride), step, "kernel or stride is out of range");
    require(source.channels == target.channels && source.layout == target.layout, step,
            "its maps have different channels or layouts");
    if (method == "upsample" || method == "bilinear") {
        require(target.height == source.height * stride && target.width == source.width * stride, step,
                "its output has another size");
        return;
    }
    require(method == "max_pool" || method == "average_pool", step, "resamples in no way that is known");
    require(padding >= 0 && 2 * padding <= kernel, step, "its padding is more than half of its kernel");
    const auto side = [=](int64_t in) { return in + 2 * padding < kernel ? 0 : (in + 2 * padding - kernel) / stride + 1; };
    require(target.height == side(source.height) && target.width == side(source.width), step,
            "its output has another size");
}

void add_shared_kinds(Kinds& kinds) {
    const auto in = Access::read, out = Access::write;
    kinds["load_images"] = {{{"target", out}}, {{"divisor", Type::real}}, check_load};
    kinds["store_head"] = {{{"source", in}}, {{"number", Type::number}}, check_store};
    for (const char* name : {"load_images", "store_head"}) kinds[name].phase = Phase::forward;
    kinds["resample"] = {{{"source", in}, {"target", out}, {"index", out, 0}},
                         window_attributes(), check_resample};
    kinds["gather"] = {{{"fine", in}, {"coarse", out}},
                       {{"index", Type::numbers}, {"stride", Type::number}},
                       check_moves};
    kinds["scatter"] = {{{"coarse", in}, {"fine", out}},
                        {{"index", Type::numbers}, {"stride", Type::number}, {"clear", Type::flag}},
                        check_moves};
    kinds["attention"] = {{{"query", in}, {"key", in}, {"value", in}, {"target", out}},
                          {{"heads", Type::number}},
                          check_attention};
    kinds["norm_act_add"] = {{{"source", in}, {"targets", out, 1, 64}, {"residual", in, 0}},
                             {{"activation", Type::text},
                              {"value", Type::real},
                              {"eps", Type::real, false},
                              {"momentum", Type::real, false},
                              {"weight", Type::number, false},
                              {"bias", Type::number, false},
                              {"mean", Type::number, false},
                              {"variance", Type::number, false},
                              {"constants", Type::text, false}},
                             check_norm_act_add};
}

}  // namespace yolo::program
