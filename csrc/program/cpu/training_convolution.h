// A convolution on weights that change with every step, as its passes know it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "program/cpu/build_context.h"
#include "program/cpu/convolution.h"

namespace yolo::program {

// Rows of weights in the vector of values: `count` numbers from `offset`.
struct Rows {
    int64_t offset;
    int64_t count;
};

struct Convolution {
    ExecContext exec;
    std::string where;
    TensorView source, target;
    std::vector<Rows> weights;  // together [out, in / groups, kh, kw], or transposed [in, out / groups, kh, kw]
    int64_t bias;               // offset of [out] in the values; -1: none
    ConvShape shape;

    dnnl::memory::desc bias_desc() const;
    dnnl::memory::desc plain_weights() const;
    dnnl::memory::desc any_weights(dnnl::memory::data_type type) const;
    // Where each output channel's weights begin in the values; not of a transposed one.
    std::vector<int64_t> starts() const;
    StepInfo info(const std::string& kind, const std::string& implementation) const;
};
using Spec = std::shared_ptr<const Convolution>;

}  // namespace yolo::program
