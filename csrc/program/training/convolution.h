// A convolution, or its transpose, with its two gradients, on oneDNN.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "program/common/buffer.h"
#include "program/cpu/onednn.h"
#include "program/training/slice.h"
#include "program/training/step.h"
#include "program/cpu/workspace.h"

namespace yolo::program::training {

// Rows of weights in the vector of values: `count` numbers from `offset`.
struct Rows {
    int64_t offset;
    int64_t count;
};

struct ConvolutionSpec {
    std::string where;
    Slice source, target;  // whole buffers; the source may be plain
    std::vector<Rows> weights;  // one after the other they are [out, in / groups, kh, kw], transposed [in, out / groups, ..]
    int64_t bias = -1;  // offset of [out] in the values; not for a transposed one
    std::vector<int64_t> kernel, stride, padding, dilation;  // height, width
    int64_t groups = 1;
    bool transposed = false;
};

// Weights are packed from the vector at every use, into the workspace: packed copies would take as much memory as the
// parameters for a gain that could not be measured. A transposed convolution is the gradient of a convolution from its
// target to its source, so its three passes are the three of that one in another order.
class Convolution {
public:
    Convolution(ConvolutionSpec spec, int64_t batch, int threads, std::byte* arena, Workspace& workspace);

    // Gives the step; throws std::invalid_argument when oneDNN cannot do it at all.
    Step forward();
    // From the target's gradient (a whole buffer) to the source's.
    Step backward_data(const Slice& gradient, const Slice& source_gradient);
    // To the gradients of weights and bias. `gradient` as above; `source`: where the source's values lie now.
    Step backward_weights(const Slice& gradient, const Slice& source);
    // What is slower than it should be, for people.
    const std::vector<std::string>& notes() const { return notes_; }

private:
    struct Pass;
    struct Kernel {
        dnnl::primitive primitive;
        dnnl::memory::desc from, to, weights, scratch;
        std::string implementation;
    };

    dnnl::memory::desc map(const Slice& slice, bool any) const;
    dnnl::memory::desc plain_weights() const;
    dnnl::memory::desc any_weights(dnnl::memory::data_type type) const;
    dnnl::convolution_forward::primitive_desc describe(const dnnl::memory::desc& source,
                                                       const dnnl::memory::desc& target) const;
    template <class Describe>
    auto choose(const Slice& source, const Slice& target, const Describe& describe, const std::string& what);
    Kernel kernel(bool data, const Slice& from, const Slice& to, const std::string& kind);
    Step from_weights(bool data, const Slice& from, const Slice& to, const std::string& kind);
    void route(Pass& pass, Workspace::Frame& frame, int argument, const Slice& slice, const dnnl::memory::desc& wanted,
               bool read);
    void note(const std::string& implementation, const std::string& what);
    double flops() const;
    const float* packed_rows(const float* values, const dnnl::memory& staging) const;
    StepInfo info(const std::string& kind, const std::string& implementation) const;

    ConvolutionSpec spec_;
    int64_t batch_;
    int threads_;
    std::byte* arena_;
    Workspace& workspace_;
    std::vector<std::string> notes_;
};

}  // namespace yolo::program::training
