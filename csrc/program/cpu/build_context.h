// What a plan's steps are built with, and what they run on.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/exchange.h"
#include "parallel/team.h"
#include "program/common/limits.h"
#include "program/common/plan.h"
#include "program/common/step_info.h"
#include "program/cpu/moments.h"
#include "program/cpu/weights.h"
#include "program/cpu/workspace.h"
#include "program/kernels/kernels.h"

namespace yolo::program {

// Addresses of one run. Forward: images, values (parameters, then statistics, which are moved), heads (written).
// Backward: head_gradients, values, gradient (added to).
struct Run {
    const uint8_t* images = nullptr;
    float* values = nullptr;
    void* const* heads = nullptr;
    const void* const* head_gradients = nullptr;
    float* gradient = nullptr;
};

struct CompiledStep {
    StepInfo info;
    std::function<void(const Run&)> action;
};

// What steps need of their program while they run; they keep copies of it.
struct ExecContext {
    std::byte* arena;
    int64_t batch, block;  // images in the arena, channels in a block
    int threads;

    int64_t blocks(const TensorView& view) const { return (view.channels + block - 1) / block; }
    std::byte* at(const TensorView& view, int64_t image = 0, int64_t number = 0) const {
        return arena + view.plane(image, number, block);
    }
};

// There while a plan is built, and no longer.
struct BuildContext : ExecContext {
    int64_t element;       // bytes of a number in maps that are not bytes
    Workspace& workspace;  // all scratch: steps run one after the other
    Budget& budget;
    Weights* weights;  // constants by name; may be null
    std::shared_ptr<net::Exchange> exchange;
    std::map<int64_t, std::shared_ptr<void>> states;  // what forward steps keep for their backward steps
    bool inference = false;                           // no backward pass follows
    int64_t step = 0;                                 // the number of the step that is built; backward steps go on counting
    std::shared_ptr<Moments> moments;                 // that the last convolution can take

    // Keeps the state of the forward step that is built.
    void keep(std::shared_ptr<void> state) { states[step] = std::move(state); }
    // The state of the forward step that `step` names as `of`, which the verifier has checked to be of its kind.
    template <class State>
    std::shared_ptr<State> state(const Step& step) const {
        return std::static_pointer_cast<State>(states.at(step.number("of")));
    }
    // A constant laid out as `desc`. Raises std::invalid_argument where there is none of this name and shape.
    dnnl::memory constant(const std::string& where, const std::string& name, const dnnl::memory::desc& desc);
    // The weights of a convolution in a layout of our own. Raises as above, and what the packing raises.
    std::shared_ptr<const Buffer> packed(const std::string& where, const std::string& name,
                                         const dnnl::memory::dims& dims, const Packing& packing);
};

// Calls action(thread, image, block) for each plane of a view: a block of an image's channels.
template <class Action>
void each_plane(const ExecContext& exec, const TensorView& view, const Action& action) {
    const int64_t blocks = exec.blocks(view);
    parallel::share(exec.threads, exec.batch * blocks, [&](int thread, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) action(thread, i / blocks, i % blocks);
    });
}

inline Format format_of(const TensorView& view) {
    return view.wide() ? kFloat32 : kBfloat16;
}

}  // namespace yolo::program
