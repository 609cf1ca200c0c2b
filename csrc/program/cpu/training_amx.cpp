// Convolutions that train in bfloat16 by AMX: their outputs and, where the stride is 1, the gradients of their sources, which
// are convolutions with the kernels turned. Weights are packed from the values at every use, as for other kernels.
#include "program/cpu/training_amx.h"

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "parallel/team.h"
#include "program/cpu/amx_rows.h"

namespace yolo::program {
namespace {

// The convolution that a pass is.
ConvShape shape_of(const Convolution& c, bool data) {
    ConvShape shape = c.shape;
    if (!data) return shape;
    for (const size_t axis : {0, 1}) shape.padding[axis] = shape.kernel[axis] - 1 - shape.padding[axis];
    std::swap(shape.weights[0], shape.weights[1]);
    return shape;
}

class FromWeights {
public:
    FromWeights(BuildContext& context, Workspace::Frame& frame, const Spec& c, bool data, const TensorView& from,
                const TensorView& to)
        : exec_(context),
          rows_(context, frame, c->where, shape_of(*c, data), from, to, 0),
          to_(to),
          dims_(shape_of(*c, data).weights),
          starts_(c->starts()),
          turned_(data),
          bias_(data ? -1 : c->bias),
          weights_(frame.floats(pairs() * rows_.products().weight_bytes(2 * context.block) / 4)) {}

    void operator()(const Run& run) const {
        auto* const weights = static_cast<std::byte*>(weights_.get_data_handle());
        const int64_t lanes = exec_.block, pair_bytes = rows_.products().weight_bytes(2 * lanes);
        const AmxKernels kernels_of{run.values, starts_.data(), turned_};
        parallel::share(exec_.threads, pairs(), [&](int, int64_t begin, int64_t end) {
            pack_amx(rows_.order(), dims_, lanes, kernels_of, begin, end, weights);
        });
        rows_.each([&](const std::byte* from, int64_t image, int64_t pair, int64_t first, int64_t last) {
            const std::byte* const own = weights + pair * pair_bytes;
            kernels().amx_conv(from, rows_.conv(), rows_.places(last - first), own, finish(run, image, pair, first));
        });
    }

private:
    int64_t pairs() const { return (exec_.blocks(to_) + 1) / 2; }

    AmxFinish finish(const Run& run, int64_t image, int64_t pair, int64_t row) const {
        const int64_t block = 2 * pair, channel = block * exec_.block;
        AmxFinish f{};
        f.bias = bias_ < 0 ? nullptr : run.values + bias_ + channel;
        f.activation = {Function::identity, 0.0f};
        f.blocks = std::min<int64_t>(2, exec_.blocks(to_) - block);
        f.channels = to_.channels - channel;
        f.wide = to_.wide();
        f.target = exec_.at(to_, image, block) + row * to_.width * exec_.block * to_.element;
        f.target_step = to_.pixels() * exec_.block * to_.element;
        return f;
    }

    ExecContext exec_;
    AmxRows rows_;
    TensorView to_;
    dnnl::memory::dims dims_;
    std::vector<int64_t> starts_;
    bool turned_;
    int64_t bias_;
    dnnl::memory weights_;
};

}  // namespace

bool amx_has(const Convolution& c, bool data) {
    return !data || c.shape.stride == dnnl::memory::dims{1, 1};
}

CompiledStep amx_from_weights(BuildContext& context, const Spec& c, bool data, const TensorView& from, const TensorView& to,
                              const std::string& kind) {
    if (kernels().amx_conv == nullptr) throw std::invalid_argument(c->where + ": this processor has no AMX");
    Workspace::Frame frame(context.workspace);
    const auto made = std::make_shared<const FromWeights>(context, frame, c, data, from, to);
    return {c->info(kind, "amx:bf16"), [made](const Run& run) { (*made)(run); }};
}

}  // namespace yolo::program
