#include "program/common/kinds.h"

#include <stdexcept>

namespace yolo::program {

void require(bool fits, const Step& step, const char* what) {
    if (!fits) throw std::invalid_argument(step.where + ": " + what);
}

void require_layout(const Step& step, const TensorView& view, Layout layout) {
    const char* const words[] = {"takes maps whose channels lie in blocks", "takes maps of plain pixels",
                                 "takes maps whose channels lie together"};
    require(view.layout == layout, step, words[static_cast<size_t>(layout)]);
}

void require_same_size(const Step& step, const TensorView& a, const TensorView& b) {
    require(a.height == b.height && a.width == b.width, step, "its maps have different sizes");
}

void require_same_shape(const Step& step, const TensorView& a, const TensorView& b) {
    require_same_size(step, a, b);
    require(a.channels == b.channels, step, "its maps have different numbers of channels");
}

void require_alike(const Step& step, const TensorView& a, const TensorView& b) {
    require_same_shape(step, a, b);
    require(a.layout == b.layout, step, "its maps have different layouts");
    require(a.element == b.element, step, "its maps have different numbers");
}

void require_maps(const Plan& plan, const Step& step, const std::vector<const char*>& roles) {
    const TensorView* first = nullptr;
    for (const char* role : roles) {
        for (const TensorView& view : step.any(role)) {
            if (first == nullptr) first = &view;
            require_layout(step, view, plan.layout);
            require(view.element == plan.element || view.element == 4, step, "its maps have other numbers than the plan");
            require_alike(step, *first, view);
        }
    }
}

}  // namespace yolo::program
