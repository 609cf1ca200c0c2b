// What a plan's steps are built with for a CUDA device, and what they run on.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cuda/device.h"
#include "cuda/group.h"
#include "cuda/map.h"
#include "program/common/limits.h"
#include "program/common/plan.h"
#include "program/common/step_info.h"
#include "program/cuda/constants.h"
#include "program/cuda/workspace.h"

namespace yolo::program::cuda {

using yolo::cuda::DeviceBuffer;
using yolo::cuda::Group;
using yolo::cuda::Map;
using yolo::cuda::Number;
using yolo::cuda::Stream;

// Addresses of one run, all on the device, and the stream that its work is given to. Forward: images uint8 [B, C, H, W],
// values (parameters, then statistics, which are moved), heads float32 [B, C, h, w] (written). Backward: head_gradients,
// values, gradient (added to).
struct Run {
    Stream stream = nullptr;
    const uint8_t* images = nullptr;
    float* values = nullptr;
    float* const* heads = nullptr;
    const float* const* head_gradients = nullptr;
    float* gradient = nullptr;
};

// `action` gives work to the run's stream; it neither waits nor allocates, so that it can be recorded, but for what a
// Group does.
struct CompiledStep {
    StepInfo info;
    std::function<void(const Run&)> action;
};

// There while a plan is built, and no longer.
struct BuildContext {
    const Plan& plan;
    std::byte* arena;  // on the device
    Number number;     // of the maps, where they are not float32 or places of maxima
    Workspace& workspace;
    Budget& budget;
    Constants* constants;  // of inference; may be null
    Stream stream;         // for what is uploaded while building
    std::shared_ptr<Group> group = nullptr;  // joins the batch norms of all ranks; may be null
    std::map<int64_t, std::shared_ptr<void>> states = {};  // what forward steps keep for their backward steps
    int64_t step = 0;                                      // its number; backward steps go on counting

    bool inference() const { return plan.backward.empty(); }
    // The map that a view is. (Of places of maxima, bytes or uint16, take data, sizes and pitch alone.)
    Map map(const TensorView& view) const {
        return {arena + view.offset + view.first * view.element, view.wide() ? Number::float32 : number, plan.batch(),
                view.height, view.width, view.channels, view.buffer_channels};
    }
    std::vector<Map> maps(const Views& views) const {
        std::vector<Map> all;
        for (const TensorView& view : views) all.push_back(map(view));
        return all;
    }
    // A table on the device, which the step's action keeps.
    template <class Type>
    std::shared_ptr<DeviceBuffer> upload(const std::vector<Type>& table) const {
        const auto made = std::make_shared<DeviceBuffer>(table.size() * sizeof(Type));
        yolo::cuda::copy_in(made->data(), table.data(), made->bytes(), stream);
        yolo::cuda::synchronise(stream);
        return made;
    }
    // Keeps the state of the forward step that is built; the state of the forward step that `step` names as `of`, which
    // the verifier has checked to be of its kind.
    void keep(std::shared_ptr<void> state) { states[step] = std::move(state); }
    template <class State>
    std::shared_ptr<State> state(const Step& backward) const {
        return std::static_pointer_cast<State>(states.at(backward.number("of")));
    }
};

}  // namespace yolo::program::cuda
