// Convolutions that train in bfloat16 by AMX: their outputs, and the gradients of their sources, which are convolutions of
// the outputs' gradients with the kernels turned. Of a stride, pixels of the source that lie at the same place in it meet the
// same taps: each such phase is a convolution of stride 1 with these, whose outputs lie a stride apart. Weights are packed
// from the values at every use, as for other kernels.
#include "program/cpu/training_amx.h"

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "parallel/team.h"
#include "program/cpu/amx_rows.h"

namespace yolo::program {
namespace {

// Along one axis, of the source's pixels `place`, place + stride, ...: the kernel's numbers that they meet, in the order of
// the outputs, and the padding before the first of these.
struct PhaseAxis {
    int64_t place, pixels, padding;
    std::vector<int64_t> taps;
};

PhaseAxis axis_of(const ConvShape& shape, size_t axis, int64_t place, int64_t side) {
    const int64_t stride = shape.stride[axis], reach = place + shape.padding[axis], first = reach % stride;
    PhaseAxis found{place, ceil_div(side - place, stride), 0, {}};
    for (int64_t tap = first; tap < shape.kernel[axis]; tap += stride) found.taps.insert(found.taps.begin(), tap);
    found.padding = static_cast<int64_t>(found.taps.size()) - 1 - (reach - first) / stride;
    return found;
}

// A convolution of stride 1, or forward of any, that makes some of a pass's outputs.
struct Phase {
    ConvShape shape;
    TensorView outputs;  // their number and size; they lie among others
    std::vector<int64_t> taps;
    int64_t place[2];  // of the first output
};

Phase forward_phase(const Convolution& c) {
    Phase phase{c.shape, c.target, {}, {0, 0}};
    for (int64_t tap = 0; tap < c.shape.kernel[0] * c.shape.kernel[1]; ++tap) phase.taps.push_back(tap);
    return phase;
}

std::vector<Phase> data_phases(const Convolution& c) {
    std::vector<Phase> found;
    for (int64_t y = 0; y < std::min(c.shape.stride[0], c.source.height); ++y) {
        for (int64_t x = 0; x < std::min(c.shape.stride[1], c.source.width); ++x) {
            const PhaseAxis down = axis_of(c.shape, 0, y, c.source.height), along = axis_of(c.shape, 1, x, c.source.width);
            Phase phase{c.shape, c.source, {}, {y, x}};
            for (const int64_t row : down.taps) {
                for (const int64_t column : along.taps) phase.taps.push_back(row * c.shape.kernel[1] + column);
            }
            phase.shape.kernel = {static_cast<int64_t>(down.taps.size()), static_cast<int64_t>(along.taps.size())};
            phase.shape.stride = {1, 1}, phase.shape.padding = {down.padding, along.padding};
            phase.shape.weights = {c.source.channels, c.target.channels, phase.shape.kernel[0], phase.shape.kernel[1]};
            phase.outputs.height = down.pixels, phase.outputs.width = along.pixels;
            found.push_back(phase);
        }
    }
    return found;
}

// One phase as AMX computes it.
class PhasePass {
public:
    PhasePass(BuildContext& context, Workspace::Frame& frame, const Spec& c, bool data, Phase phase, const TensorView& from,
              const TensorView& to)
        : exec_(context),
          phase_(std::move(phase)),
          rows_(context, frame, c->where, phase_.shape, from, phase_.outputs, 0),
          to_(to),
          bias_(data ? -1 : c->bias),
          weights_(frame.floats(pairs() * pair_bytes() / 4)) {
        if (data) steps_[0] = c->shape.stride[0], steps_[1] = c->shape.stride[1];
    }
    PhasePass(const PhasePass&) = delete;

    int64_t pairs() const { return (exec_.blocks(to_) + 1) / 2; }

    AmxWeights packed() const { return {rows_.order(), phase_.shape.weights, phase_.taps.data(), weights()}; }

    // By all threads; `moments` of the outputs are taken if there are any.
    void all_images(const Run& run, Moments* moments) const { rows_.each(Multiply{*this, run, moments}); }

    void one_image(const Run& run, int thread, int64_t image) const {
        rows_.of_image(thread, image, Multiply{*this, run, nullptr});
    }

private:
    int64_t pair_bytes() const { return rows_.products().weight_bytes(2 * exec_.block); }
    std::byte* weights() const { return static_cast<std::byte*>(weights_.get_data_handle()); }

    struct Multiply {
        const PhasePass& pass;
        const Run& run;
        Moments* moments;

        void operator()(int thread, const std::byte* from, int64_t image, int64_t pair, int64_t first, int64_t last) const {
            const AmxRows& rows = pass.rows_;
            const std::byte* const weights = pass.weights() + pair * pass.pair_bytes();
            AmxFinish finish = pass.finish(run, image, pair, first);
            if (moments != nullptr) {
                finish.sums = moments->at(thread, 2 * pair * pass.exec_.block), finish.squares = moments->channels;
            }
            kernels().amx_conv(from, rows.conv(), rows.places(last - first), weights, finish);
        }
    };

    AmxFinish finish(const Run& run, int64_t image, int64_t pair, int64_t row) const {
        const int64_t block = 2 * pair, channel = block * exec_.block, pixel = exec_.block * to_.element;
        AmxFinish f{};
        f.bias = bias_ < 0 ? nullptr : run.values + bias_ + channel;
        f.activation = {Function::identity, 0.0f};
        f.blocks = std::min<int64_t>(2, exec_.blocks(to_) - block);
        f.channels = to_.channels - channel;
        f.wide = to_.wide();
        f.step = steps_[1], f.row_step = steps_[0] * to_.width;
        f.target = exec_.at(to_, image, block) + (row * f.row_step + phase_.place[0] * to_.width + phase_.place[1]) * pixel;
        f.target_block_step = to_.pixels() * pixel;
        return f;
    }

    ExecContext exec_;
    Phase phase_;
    AmxRows rows_;
    TensorView to_;
    int64_t bias_;
    int64_t steps_[2] = {1, 1};
    dnnl::memory weights_;
};

class FromWeights {
public:
    FromWeights(BuildContext& context, Workspace::Frame& frame, const Spec& c, bool data, const TensorView& from,
                const TensorView& to)
        : exec_(context),
          moments_(data ? nullptr : moments_of(context, to)),
          starts_(c->starts()),
          area_(c->shape.kernel[0] * c->shape.kernel[1]),
          turned_(data) {
        for (Phase& phase : data ? data_phases(*c) : std::vector<Phase>{forward_phase(*c)}) {
            phases_.push_back(std::make_unique<PhasePass>(context, frame, c, data, std::move(phase), from, to));
        }
    }

    void operator()(const Run& run) const {
        const AmxKernels kernels_of{run.values, starts_.data(), area_, turned_};
        std::vector<AmxWeights> weights;
        for (const auto& phase : phases_) weights.push_back(phase->packed());
        parallel::share(exec_.threads, phases_[0]->pairs(), [&](int, int64_t begin, int64_t end) {
            pack_amx(weights, exec_.block, kernels_of, begin, end);
        });
        if (phases_.size() == 1 || exec_.batch < exec_.threads) {
            for (const auto& phase : phases_) phase->all_images(run, fresh_moments());
            return;
        }
        // Pixels of several phases share a cache line: an image's are written before it leaves the caches.
        parallel::share(exec_.threads, exec_.batch, [&](int thread, int64_t begin, int64_t end) {
            for (int64_t image = begin; image < end; ++image) {
                for (const auto& phase : phases_) phase->one_image(run, thread, image);
            }
        });
    }

private:
    // Those that the step behind it may want.
    static std::shared_ptr<Moments> moments_of(BuildContext& context, const TensorView& to) {
        if (to.wide()) return nullptr;
        const int64_t channels = context.blocks(to) * context.block;
        std::vector<double> sums(static_cast<size_t>(context.threads * 2 * channels));
        return context.moments = std::make_shared<Moments>(Moments{to, context.step, channels, false, std::move(sums)});
    }

    Moments* fresh_moments() const {
        if (!moments_ || !moments_->wanted) return nullptr;
        std::fill(moments_->sums.begin(), moments_->sums.end(), 0.0);
        return moments_.get();
    }

    ExecContext exec_;
    std::shared_ptr<Moments> moments_;
    std::vector<int64_t> starts_;
    int64_t area_;
    bool turned_;
    std::vector<std::unique_ptr<const PhasePass>> phases_;
};

// Whether every pixel along an axis meets a tap, and none lies before the first output.
bool phases_fit(const Convolution& c, size_t axis, int64_t side) {
    for (int64_t place = 0; place < std::min(c.shape.stride[axis], side); ++place) {
        const PhaseAxis phase = axis_of(c.shape, axis, place, side);
        if (phase.taps.empty() || phase.padding < 0) return false;
    }
    return true;
}

}  // namespace

bool amx_has(const Convolution& c, bool data) {
    return !data || (phases_fit(c, 0, c.source.height) && phases_fit(c, 1, c.source.width));
}

CompiledStep amx_from_weights(BuildContext& context, const Spec& c, bool data, const TensorView& from, const TensorView& to,
                              const std::string& kind) {
    if (kernels().amx_conv == nullptr) throw std::invalid_argument(c->where + ": this processor has no AMX");
    Workspace::Frame frame(context.workspace);
    const auto made = std::make_shared<const FromWeights>(context, frame, c, data, from, to);
    return {c->info(kind, "amx:bf16"), [made](const Run& run) { (*made)(run); }};
}

}  // namespace yolo::program
