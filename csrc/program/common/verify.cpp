#include "program/common/verify.h"

#include <algorithm>
#include <set>

#include "program/common/kinds.h"

namespace yolo::program {
namespace {

constexpr int kMostThreads = 4096;

const Kinds& kinds() {
    static const auto* all = [] {
        auto* made = new Kinds;
        add_shared_kinds(*made);
        add_training_kinds(*made);
        add_inference_kinds(*made);
        return made;
    }();
    return *all;
}

void check_shapes(const Plan& plan, const Limits& limits) {
    if (plan.arena < 0 || plan.arena > limits.memory) {
        throw std::invalid_argument("needs " + std::to_string(static_cast<double>(plan.arena) / 1e9) +
                                    " GB of memory for its maps");
    }
    const auto is_shape = [](const Numbers& shape) {
        return shape.size() == 4 && std::all_of(shape.begin(), shape.end(), [](int64_t side) {
                   return side >= 1 && side <= kMostSide;
               });
    };
    bool fits = is_shape(plan.images) && !plan.heads.empty() && plan.threads >= 1 && plan.threads <= kMostThreads;
    for (const Numbers& head : plan.heads) fits = fits && is_shape(head) && head[0] == plan.images[0];
    fits = fits && (plan.element == 2 || plan.element == 4) && (plan.block == 8 || plan.block == 16) &&
           plan.layout != Layout::nchw && (!plan.half || plan.element == 2);
    fits = fits && plan.values >= 0 && plan.gradient >= 0 && (plan.backward.empty() || !plan.per_image);
    if (!fits) throw std::invalid_argument("the plan's images, heads, threads or numbers are not valid");
}

int64_t whole(const Plan& plan, int64_t channels) {
    return (channels + plan.block - 1) / plan.block * plan.block;
}

// The view and the buffer around it; all images of it lie in the arena.
void check_view(const Plan& plan, const Step& step, const TensorView& view) {
    const auto is_side = [](int64_t side) { return side >= 1 && side <= kMostSide; };
    require(is_side(view.channels) && is_side(view.height) && is_side(view.width) && is_side(view.buffer_channels), step,
            "a map has impossible sides");
    require(view.element == 1 || view.element == 2 || view.element == 4, step, "a map has numbers of no known size");
    require(plan.layout == Layout::blocked || view.layout == plan.layout, step, "takes a map of another device");
    if (view.layout == plan.layout) {
        require(view.first >= 0 && view.first % plan.block == 0 && view.buffer_channels % plan.block == 0 &&
                    view.first <= view.buffer_channels - whole(plan, view.channels),
                step, "takes channels that are not there");
    } else {
        require(view.first == 0 && view.buffer_channels == view.channels, step, "takes part of a map that has none");
    }
    int64_t bytes = view.buffer_channels * view.element;  // at most 2^22 * 4
    const bool small = !__builtin_mul_overflow(bytes, view.height, &bytes) &&
                       !__builtin_mul_overflow(bytes, view.width, &bytes) && bytes <= kMostMapBytes;
    require(small, step, "a map has more than 2 GiB");
    const bool inside = view.offset >= 0 && view.offset % view.element == 0 && bytes <= plan.arena / plan.batch() &&
                        view.offset <= plan.arena - plan.batch() * bytes;
    require(inside, step, "a map lies outside the program's memory");
}

bool is_one_buffer(const TensorView& a, const TensorView& b) {
    return a.offset == b.offset && a.buffer_channels == b.buffer_channels && a.height == b.height && a.width == b.width &&
           a.element == b.element && a.layout == b.layout;
}

// Whether views share bytes of the arena.
bool overlap(const Plan& plan, const TensorView& a, const TensorView& b) {
    if (is_one_buffer(a, b)) {
        return a.first < b.first + whole(plan, b.channels) && b.first < a.first + whole(plan, a.channels);
    }
    const auto begin = [](const TensorView& view) { return view.layout == Layout::blocked ? view.plane(0, 0, 1) : view.offset; };
    const auto end = [&](const TensorView& view) {
        if (view.layout != Layout::blocked) return view.offset + plan.batch() * view.image_bytes();
        return view.plane(plan.batch() - 1, 0, 1) + whole(plan, view.channels) * view.pixels() * view.element;
    };
    return begin(a) < end(b) && begin(b) < end(a);
}

void check_overlaps(const Plan& plan, const Step& step, const Kind& kind) {
    struct Used {
        const Role* role;
        const TensorView* view;
    };
    std::vector<Used> all;
    for (const Role& role : kind.roles) {
        for (const TensorView& view : step.any(role.name)) all.push_back({&role, &view});
    }
    const auto in_place = [&](const Used& a, const Used& b) {
        if (!is_one_buffer(*a.view, *b.view) || a.view->first != b.view->first) return false;
        return std::any_of(kind.in_place.begin(), kind.in_place.end(), [&](const auto& pair) {
            return std::string(pair.first) == a.role->name && std::string(pair.second) == b.role->name;
        });
    };
    for (const Used& written : all) {
        if (written.role->access != Access::write) continue;
        for (const Used& other : all) {
            if (&other == &written || in_place(written, other) || in_place(other, written)) continue;
            require(!overlap(plan, *written.view, *other.view), step, "writes over maps of its own");
        }
    }
}

void check_views(const Plan& plan, const Step& step, const Kind& kind) {
    size_t known = 0;
    for (const Role& role : kind.roles) {
        const Views& found = step.any(role.name);
        known += step.views.count(role.name);
        const std::string what = "has " + std::to_string(found.size()) + " maps as " + role.name;
        require(found.size() >= role.least && found.size() <= role.most, step, what.c_str());
        for (const TensorView& view : found) check_view(plan, step, view);
    }
    require(known == step.views.size(), step, "has maps that its kind does not take");
}

void check_attributes(const Step& step, const Kind& kind) {
    size_t known = 0;
    for (const AttributeRule& rule : kind.attributes) {
        const auto found = step.attributes.find(rule.name);
        const std::string what = std::string("has no ") + rule.name + ", or one of another type";
        if (found == step.attributes.end()) {
            require(!rule.needed, step, what.c_str());
            continue;
        }
        ++known;
        require(found->second.index() == static_cast<size_t>(rule.type), step, what.c_str());
    }
    require(known == step.attributes.size(), step, "has attributes that its kind does not take");
}

void check_step(const Plan& plan, const Step& step, Phase phase) {
    const auto found = kinds().find(step.kind);
    require(found != kinds().end(), step, "is of a kind that is unknown");
    const Kind& kind = found->second;
    const Phase wanted = kind.of != nullptr ? Phase::backward : kind.phase;
    require(wanted == Phase::both || wanted == phase, step, "belongs to the other pass");
    check_attributes(step, kind);
    check_views(plan, step, kind);
    check_overlaps(plan, step, kind);
    if (kind.of != nullptr) {
        const int64_t of = step.number("of"), steps = static_cast<int64_t>(plan.forward.size());
        require(of >= 0 && of < steps && plan.forward[static_cast<size_t>(of)].kind == kind.of, step,
                "is the gradient of a step of another kind");
    }
    kind.check(plan, step);
}

// Of the images and the heads.
void check_ends(const Plan& plan) {
    std::multiset<int64_t> stored;
    bool loads = false;
    for (const Step& step : plan.forward) {
        if (step.kind == "store_head") stored.insert(step.number("number"));
        loads = loads || step.kind == "load_images";
    }
    if (!loads) throw std::invalid_argument("the plan has no input");
    for (size_t number = 0; number < plan.heads.size(); ++number) {
        if (stored.count(static_cast<int64_t>(number)) != 1) throw std::invalid_argument("the plan has no output, or two");
    }
}

}  // namespace

void verify(const Plan& plan, const Limits& limits) {
    check_shapes(plan, limits);
    for (const Step& step : plan.forward) check_step(plan, step, Phase::forward);
    for (const Step& step : plan.backward) check_step(plan, step, Phase::backward);
    check_ends(plan);
    check_flow(plan, kinds());
}

}  // namespace yolo::program
