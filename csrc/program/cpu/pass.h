// A primitive of oneDNN as an action of a step.
#pragma once

#include <unordered_map>
#include <vector>

#include "program/cpu/build_context.h"

namespace yolo::program {

// oneDNN's words for a map; a part of a buffer only where the arena holds one image, in which it is dense.
dnnl::memory::data_type type_of(const TensorView& view);
dnnl::memory::desc desc_of(const ExecContext& context, const TensorView& view);
dnnl::memory memory_of(const ExecContext& context, const TensorView& view);

// The caller gives oneDNN its scratchpad.
dnnl::primitive_attr user_scratchpad();

// A primitive with its arguments, and the changes of layout around it.
struct Pass {
    struct Move {
        dnnl::reorder reorder;
        dnnl::memory from, to;
    };
    dnnl::primitive primitive;
    std::unordered_map<int, dnnl::memory> arguments;
    std::vector<Move> before, after;

    // Makes the map an argument, through a copy in the workspace where the primitive wants another layout.
    void route(const ExecContext& context, Workspace::Frame& frame, int argument, const TensorView& view,
               const dnnl::memory::desc& wanted, bool read);
    void operator()() const;
};

}  // namespace yolo::program
