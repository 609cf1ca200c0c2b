// Convolutions of inference by AMX, in bfloat16 and of bytes.
#include "program/cpu/amx_convolution.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>

#include "parallel/team.h"
#include "program/cpu/activation.h"
#include "program/cpu/amx_rows.h"
#include "program/cpu/int8_finish.h"

namespace yolo::program {
namespace {

std::shared_ptr<const Buffer> weights_of(BuildContext& context, const Step& step, const AmxRows& rows) {
    const Packing& packing = amx_packing(rows.order());
    return context.packed(step.where, step.text("weights") + ".weight", ConvShape(step).weights, packing);
}

StepInfo info_of(const Step& step, const Buffer& weights) {
    const TensorView &from = step.view("source"), &to = step.view("target");
    return {"conv", step.where, from.element == 1 ? "amx:int8" : "amx:bf16", ConvShape(step).flops(from, to),
            from.image_bytes() + to.image_bytes() + static_cast<int64_t>(weights.bytes())};
}

class Bfloat16Conv {
public:
    Bfloat16Conv(BuildContext& context, Workspace::Frame& frame, const Step& step)
        : exec_(context),
          rows_(context, frame, step.where, ConvShape(step), step.view("source"), step.view("target"), 0),
          target_(step.view("target")),
          weights_(weights_of(context, step, rows_)) {
        if (const TensorView* residual = step.optional("residual")) residual_ = *residual;
        if (step.flag("bias")) {
            bias_ = context.constant(step.where, step.text("weights") + ".bias", floats_desc(target_.channels));
        }
        finish_.activation = activation_of(step);
        finish_.wide = target_.wide();
    }

    void operator()() const {
        const int64_t pair_bytes = rows_.products().weight_bytes(2 * exec_.block);
        rows_.each([&](int, const std::byte* from, int64_t image, int64_t pair, int64_t first, int64_t last) {
            const std::byte* const weights = weights_->data() + pair * pair_bytes;
            kernels().amx_conv(from, rows_.conv(), rows_.places(last - first), weights, finish(image, pair, first));
        });
    }

    const Buffer& weights() const { return *weights_; }

private:
    AmxFinish finish(int64_t image, int64_t pair, int64_t row) const {
        AmxFinish f = finish_;
        const int64_t block = 2 * pair, channel = block * exec_.block;
        const auto place = [&](const TensorView& view) {
            return exec_.at(view, image, block) + row * view.width * exec_.block * view.element;
        };
        f.bias = bias_ ? static_cast<const float*>(bias_->get_data_handle()) + channel : nullptr;
        f.blocks = std::min<int64_t>(2, exec_.blocks(target_) - block);
        f.channels = target_.channels - channel;
        f.target = place(target_);
        f.step = 1, f.row_step = target_.width;
        f.target_block_step = target_.pixels() * exec_.block * target_.element;
        if (residual_) {
            f.residual = place(*residual_);
            f.residual_block_step = residual_->pixels() * exec_.block * residual_->element;
        }
        return f;
    }

    ExecContext exec_;
    AmxRows rows_;
    TensorView target_;
    std::shared_ptr<const Buffer> weights_;
    std::optional<TensorView> residual_;
    std::optional<dnnl::memory> bias_;
    AmxFinish finish_{};
};

class ByteConvolution {
public:
    ByteConvolution(BuildContext& context, Workspace::Frame& frame, const Step& step)
        : exec_(context),
          rows_(context, frame, step.where, ConvShape(step), step.view("source"), step.view("target"),
                Scale(step, "source").zero),
          target_(step.view("target")),
          weights_(weights_of(context, step, rows_)),
          finish_(context, step) {
        const int64_t channels = exec_.blocks(target_) * exec_.block;
        const auto* const sums =
            reinterpret_cast<const int32_t*>(weights_->data() + rows_.products().weight_bytes(channels));
        const int32_t zero = Scale(step, "source").zero;
        for (int64_t k = 0; k < channels; ++k) offsets_.push_back(-zero * sums[k]);
    }

    void operator()() const {
        const int64_t lanes = exec_.block, pair_bytes = rows_.products().weight_bytes(2 * lanes);
        rows_.each([&](int, const std::byte* from, int64_t image, int64_t pair, int64_t first, int64_t last) {
            const int64_t block = 2 * pair, blocks = std::min<int64_t>(2, exec_.blocks(target_) - block);
            const ByteFinish finish = finish_.at(exec_, image, first * target_.width, block);
            kernels().amx_byte_conv(from, rows_.conv(), rows_.places(last - first), weights_->data() + pair * pair_bytes,
                                    offsets_.data() + block * lanes, finish, blocks, target_.channels - block * lanes);
        });
    }

    const Buffer& weights() const { return *weights_; }

private:
    ExecContext exec_;
    AmxRows rows_;
    TensorView target_;
    std::shared_ptr<const Buffer> weights_;
    Int8Finish finish_;
    std::vector<int32_t> offsets_;  // what the zeros of bytes make of each channel's sum
};

template <class Convolution>
std::vector<CompiledStep> build(BuildContext& context, const Step& step) {
    if (kernels().amx_conv == nullptr) throw std::invalid_argument(step.where + ": this processor has no AMX");
    Workspace::Frame frame(context.workspace);
    const auto made = std::make_shared<const Convolution>(context, frame, step);
    return {{info_of(step, made->weights()), [made](const Run&) { (*made)(); }}};
}

}  // namespace

std::vector<CompiledStep> build_amx_conv(BuildContext& context, const Step& step) {
    return build<Bfloat16Conv>(context, step);
}

std::vector<CompiledStep> build_amx_int8_conv(BuildContext& context, const Step& step) {
    return build<ByteConvolution>(context, step);
}

}  // namespace yolo::program
