// 3x3 convolutions of inference in float32 by Winograd's algorithm: a quarter of the products, with stride 2 a half to two
// thirds, and as exact over a whole network.
#include "program/cpu/winograd.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "parallel/team.h"
#include "program/cpu/activation.h"
#include "program/cpu/convolution.h"
#include "program/cpu/pass.h"
#include "program/cpu/winograd_weights.h"

namespace yolo::program {
namespace {

// A thread's tiles at once: points and sums of that many stay in its caches, and weights are read seldom enough; more
// where these are so many that they come from memory. Up to half as many more are not worth another pass over the weights.
// Measured with vectors of 8 (AVX2, 512 kB of second-level cache a core) and of 16 (AVX-512, 2 MB): with these products take
// half the time, so weights are to be read half as often.
int64_t tiles_at_once(WinogradForm form, int64_t source_channels, int64_t lanes) {
    const bool wide = lanes == 16;
    if (form == WinogradForm::f4_stride2) return wide ? 36 : 12;
    if (form == WinogradForm::f2_stride2) return wide ? 96 : source_channels >= 256 ? 60 : 24;
    return wide && source_channels >= 128 ? 60 : 24;
}
// Between the points' matrices, which would begin in the same cache sets if their sizes were powers of two.
constexpr int64_t kPad = 16;

WinogradForm form_of(const Step& step) {
    if (step.text("algorithm") == "winograd_2x2") return WinogradForm::f2_stride2;
    return step.numbers("stride")[0] == 2 ? WinogradForm::f4_stride2 : WinogradForm::f4;
}

class WinogradConv {
public:
    WinogradConv(BuildContext& context, const Step& step)
        : exec_(context),
          source_(step.view("source")),
          target_(step.view("target")),
          activation_(activation_of(step)),
          form_(form_of(step)),
          points_(points_of(form_)),
          weights_(context.packed(step.where, step.text("weights") + ".weight", ConvShape(step).weights, packing_of(form_))) {
        if (const TensorView* residual = step.optional("residual")) residual_ = *residual;
        if (step.flag("bias")) {
            const std::string name = step.text("weights") + ".bias";
            bias_ = context.constant(step.where, name, floats_desc(target_.channels));
        }
        const int64_t tile = sides(form_).tile, at_once = tiles_at_once(form_, source_.channels, exec_.block);
        w_.form = form_;
        w_.height = source_.height, w_.width = source_.width;
        w_.rows = (target_.height + tile - 1) / tile, w_.columns = (target_.width + tile - 1) / tile;
        w_.source_channels = source_.channels, w_.target_channels = target_.channels;
        // Of a small map every thread would read all weights for a few tiles: then they share these, phase by phase.
        together_ = exec_.threads > 1 && tiles() < at_once * exec_.threads;
        const int64_t own = (tiles() + exec_.threads - 1) / exec_.threads;
        w_.room = together_ ? tiles() : own <= at_once * 3 / 2 ? own : at_once;
        w_.source_step = w_.room * w_.source_channels + kPad;
        w_.target_step = w_.room * w_.target_channels + kPad;
        const int64_t scratches = together_ ? 1 : exec_.threads;
        Workspace::Frame frame(context.workspace);
        transformed_ = frame.floats(scratches * points_ * w_.source_step);
        sums_ = frame.floats(scratches * points_ * w_.target_step);
    }

    void operator()() const {
        for (int64_t image = 0; image < exec_.batch; ++image) together_ ? run_together(image) : run_apart(image);
    }

    StepInfo info(const Step& step) const {
        const int64_t maps = (source_.channels * source_.pixels() + target_.channels * target_.pixels()) * 4;
        StepInfo info{"conv", step.where, std::string("winograd:") + kernels().name, ConvShape(step).flops(source_, target_),
                      maps + static_cast<int64_t>(weights_->bytes())};
        info.executed = executed_by(w_);
        return info;
    }

private:
    int64_t tiles() const { return w_.rows * w_.columns; }
    // Of all points, in pairs of target channel blocks.
    int64_t panels() const { return points_ * ((exec_.blocks(target_) + 1) / 2); }

    const float* source(int64_t image) const { return reinterpret_cast<const float*>(exec_.at(source_, image)); }

    float* points(int64_t slot = 0) const {
        return static_cast<float*>(transformed_.get_data_handle()) + slot * points_ * w_.source_step;
    }

    float* sums(int64_t slot = 0) const {
        return static_cast<float*>(sums_.get_data_handle()) + slot * points_ * w_.target_step;
    }

    void multiply(int64_t slot, const WinogradPart& part) const {
        const auto* const weights = reinterpret_cast<const float*>(weights_->data());
        kernels().winograd_products(points(slot), weights, w_, part, sums(slot));
    }

    void finish(int64_t image, int64_t slot, const WinogradPart& part) const {
        const auto* const bias = bias_ ? static_cast<const float*>(bias_->get_data_handle()) : nullptr;
        const auto* const more = residual_ ? reinterpret_cast<const float*>(exec_.at(*residual_, image)) : nullptr;
        auto* const target = reinterpret_cast<float*>(exec_.at(target_, image));
        kernels().winograd_finish(sums(slot), bias, w_, part, activation_, more, target);
    }

    // Every thread has tiles of its own, a few at a time.
    void run_apart(int64_t image) const {
        parallel::share(exec_.threads, tiles(), [&](int thread, int64_t first, int64_t last) {
            const int64_t parts = (last - first + w_.room - 1) / w_.room;
            for (int64_t part = 0; part < parts; ++part) {
                const int64_t tile = first + (last - first) * part / parts;
                const int64_t count = first + (last - first) * (part + 1) / parts - tile;
                kernels().winograd_points(source(image), w_, {tile, count, 0, exec_.blocks(source_)}, points(thread));
                multiply(thread, {tile, count, 0, panels()});
                finish(image, thread, {tile, count, 0, exec_.blocks(target_)});
            }
        });
    }

    void run_together(int64_t image) const {
        parallel::share(exec_.threads, exec_.blocks(source_), [&](int, int64_t begin, int64_t end) {
            kernels().winograd_points(source(image), w_, {0, tiles(), begin, end}, points());
        });
        parallel::share(exec_.threads, panels(), [&](int, int64_t begin, int64_t end) {
            multiply(0, {0, tiles(), begin, end});
        });
        parallel::share(exec_.threads, exec_.blocks(target_), [&](int, int64_t begin, int64_t end) {
            finish(image, 0, {0, tiles(), begin, end});
        });
    }

    ExecContext exec_;
    TensorView source_, target_;
    std::optional<TensorView> residual_;
    Activation activation_;
    WinogradForm form_;
    int64_t points_;
    std::shared_ptr<const Buffer> weights_;
    std::optional<dnnl::memory> bias_;
    Winograd w_{};
    bool together_ = false;
    dnnl::memory transformed_, sums_;
};

}  // namespace

std::vector<CompiledStep> build_winograd_conv(BuildContext& context, const Step& step) {
    const auto made = std::make_shared<const WinogradConv>(context, step);
    return {{made->info(step), [made](const Run&) { (*made)(); }}};
}

}  // namespace yolo::program
