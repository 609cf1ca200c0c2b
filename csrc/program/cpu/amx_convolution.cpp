// Convolutions of inference in bfloat16 by AMX: rows of a map are copied with their padding into a thread's own cache, in
// the order in which tiles take them, and all channels of as many rows of outputs follow from there. Where each pixel
// meets one weight, tiles read the map itself.
#include "program/cpu/amx_convolution.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>

#include "parallel/team.h"
#include "program/cpu/activation.h"
#include "program/cpu/amx_weights.h"
#include "program/cpu/convolution.h"

namespace yolo::program {
namespace {

// A thread's copy of rows: it stays in the second-level cache (2 MB) beside the weights of two blocks.
constexpr int64_t kMostCopied = 640 * 1024;
// Outputs that tiles read in place at once, so that they stay in that cache until all channels are made of them.
constexpr int64_t kMostInPlace = 512 * 1024;
// Behind the last row, for products that reach further than their columns.
constexpr int64_t kSlack = 64;

bool one_by_one(const ConvShape& shape) {
    const auto all = [](const dnnl::memory::dims& sides, int64_t side) { return sides[0] == side && sides[1] == side; };
    return all(shape.kernel, 1) && all(shape.stride, 1) && all(shape.padding, 0);
}

class AmxConvolution {
public:
    AmxConvolution(BuildContext& context, const Step& step)
        : exec_(context),
          shape_(step),
          source_(step.view("source")),
          target_(step.view("target")),
          in_place_(one_by_one(shape_) && source_.layout == Layout::blocked),
          order_(amx_source(source_, in_place_)),
          products_(order_, source_.channels, shape_.kernel[0], shape_.kernel[1]),
          pixel_(products_.channels * 2),
          weights_(context.packed(step.where, step.text("weights") + ".weight", shape_.weights, amx_packing(order_))) {
        if (const TensorView* residual = step.optional("residual")) residual_ = *residual;
        if (step.flag("bias")) {
            bias_ = context.constant(step.where, step.text("weights") + ".bias", floats_desc(target_.channels));
        }
        activation_ = activation_of(step);
        in_place_ ? read_in_place() : read_copies(context, step);
        conv_.width = target_.width;
        conv_.products = products_.count(), conv_.depth = products_.depth();
        conv_.offsets = offsets_.data();
    }
    AmxConvolution(const AmxConvolution&) = delete;

    void operator()() const {
        const int64_t pairs = (exec_.blocks(target_) + 1) / 2, items = exec_.batch * strips_ * pairs;
        parallel::share(exec_.threads, items, [&](int thread, int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const int64_t image = i / pairs / strips_, strip = i / pairs % strips_;
                const int64_t first = target_.height * strip / strips_, last = target_.height * (strip + 1) / strips_;
                if (!in_place_ && (i == begin || i % pairs == 0)) copy(thread, image, first, last);
                multiply(from(thread, image, first), image, i % pairs, first, last);
            }
        });
    }

    StepInfo info(const Step& step) const {
        const int64_t maps = source_.image_bytes() + target_.image_bytes();
        return {"conv", step.where, std::string("amx:") + kernels().name, shape_.flops(source_, target_),
                maps + static_cast<int64_t>(weights_->bytes())};
    }

private:
    void read_in_place() {
        conv_.stride = pixel_, conv_.row = target_.width;
        for (int64_t group = 0; group < products_.groups; ++group) offsets_.push_back(group * source_.pixels() * pixel_);
        const int64_t row = target_.width * pixel_ * products_.groups;
        strips_ = strips_of(std::max<int64_t>(1, kMostInPlace / row));
    }

    // Rows of the source lie apart by their place in the stride, so that one row of outputs is always as far from the next.
    void read_copies(BuildContext& context, const Step& step) {
        const int64_t stride_y = shape_.stride[0], stride_x = shape_.stride[1];
        conv_.stride = pixel_ * stride_x;
        conv_.row = target_.width - 1 + (shape_.kernel[1] + stride_x - 1) / stride_x;
        row_bytes_ = conv_.row * conv_.stride;
        phases_ = std::min(stride_y, shape_.kernel[0]);
        more_ = (shape_.kernel[0] - 1) / stride_y;
        const int64_t row = row_bytes_ * phases_ * products_.groups;
        strips_ = strips_of(std::max<int64_t>(1, kMostCopied / row - more_));
        const int64_t rows = (target_.height + strips_ - 1) / strips_;
        plane_ = (rows + more_) * row_bytes_;
        for (int64_t group = 0; group < products_.groups; ++group) {
            for (int64_t y = 0; y < shape_.kernel[0]; ++y) {
                const int64_t place = (group * phases_ + y % stride_y) * plane_ + y / stride_y * row_bytes_;
                for (int64_t piece = 0; piece < products_.pieces; ++piece) {
                    offsets_.push_back(place + piece * products_.columns * pixel_);
                }
            }
        }
        copy_ = (products_.groups * phases_ * plane_ + kSlack + 63) / 64 * 64;
        context.budget.take(step.where, static_cast<double>(exec_.threads) * static_cast<double>(copy_));
        Workspace::Frame frame(context.workspace);
        scratch_ = frame.floats(exec_.threads * copy_ / 4);
    }

    // Of at most so many rows, and as many for each thread.
    int64_t strips_of(int64_t rows) const { return (target_.height + rows - 1) / rows; }

    const std::byte* from(int thread, int64_t image, int64_t first) const {
        return in_place_ ? exec_.at(source_, image) + first * target_.width * pixel_ : scratch(thread);
    }

    std::byte* scratch(int thread) const { return static_cast<std::byte*>(scratch_->get_data_handle()) + thread * copy_; }

    void multiply(const std::byte* from, int64_t image, int64_t pair, int64_t first, int64_t last) const {
        const int64_t block = 2 * pair, lanes = exec_.block;
        AmxFinish f{};
        f.bias = bias_ ? static_cast<const float*>(bias_->get_data_handle()) + block * lanes : nullptr;
        f.activation = activation_;
        f.blocks = std::min<int64_t>(2, exec_.blocks(target_) - block);
        f.channels = target_.channels - block * lanes;
        f.wide = target_.wide();
        f.target = place(target_, image, block, first);
        f.target_step = target_.pixels() * lanes * target_.element;
        if (residual_) {
            f.residual = place(*residual_, image, block, first);
            f.residual_step = residual_->pixels() * lanes * residual_->element;
        }
        const int64_t pair_bytes = 2 * lanes * products_.count() * products_.depth();
        kernels().amx_conv(from, conv_, (last - first - 1) * conv_.row + conv_.width, weights_->data() + pair * pair_bytes, f);
    }

    std::byte* place(const TensorView& view, int64_t image, int64_t block, int64_t row) const {
        return exec_.at(view, image, block) + row * view.width * exec_.block * view.element;
    }

    // What the rows of outputs from `first` to `last` need.
    void copy(int thread, int64_t image, int64_t first, int64_t last) const {
        std::byte* const to = scratch(thread);
        for (int64_t group = 0; group < products_.groups; ++group) {
            for (int64_t phase = 0; phase < phases_; ++phase) {
                std::byte* const plane = to + (group * phases_ + phase) * plane_;
                for (int64_t row = 0; row < last - first + more_; ++row) {
                    const int64_t y = (first + row) * shape_.stride[0] + phase - shape_.padding[0];
                    copy_row(image, group, y, plane + row * row_bytes_);
                }
            }
        }
        // No product reads further; what is in there meets weights of zero, and must not be infinite.
        std::memset(to + products_.groups * phases_ * plane_, 0, kSlack);
    }

    void copy_row(int64_t image, int64_t group, int64_t y, std::byte* to) const {
        const int64_t pixels = conv_.row * shape_.stride[1], before = std::min(shape_.padding[1], pixels);
        if (y < 0 || y >= source_.height) {
            std::memset(to, 0, static_cast<size_t>(row_bytes_));
            return;
        }
        const int64_t inside = std::min(source_.width, pixels - before);
        std::memset(to, 0, static_cast<size_t>(before * pixel_));
        copy_pixels(image, group, y, inside, to + before * pixel_);
        std::memset(to + (before + inside) * pixel_, 0, static_cast<size_t>((pixels - before - inside) * pixel_));
    }

    void copy_pixels(int64_t image, int64_t group, int64_t y, int64_t count, std::byte* to) const {
        const int64_t row = y * source_.width;
        if (order_ == AmxSource::planes) {
            const std::byte* const plane = exec_.at(source_, image) + group * source_.pixels() * pixel_;
            std::memcpy(to, plane + row * pixel_, static_cast<size_t>(count * pixel_));
        } else if (order_ == AmxSource::block) {
            std::memcpy(to, exec_.at(source_, image, group) + row * pixel_, static_cast<size_t>(count * pixel_));
        } else {
            const auto block = [&](int64_t number) { return exec_.at(source_, image, number) + row * pixel_ / 2; };
            const bool both = 2 * group + 1 < exec_.blocks(source_);
            kernels().amx_pairs(block(2 * group), both ? block(2 * group + 1) : nullptr, count, to);
        }
    }

    ExecContext exec_;
    ConvShape shape_;
    TensorView source_, target_;
    bool in_place_;
    AmxSource order_;
    AmxProducts products_;
    int64_t pixel_;  // bytes
    std::shared_ptr<const Buffer> weights_;
    std::optional<TensorView> residual_;
    std::optional<dnnl::memory> bias_;
    Activation activation_{};
    AmxConv conv_{};
    std::vector<int64_t> offsets_;
    int64_t strips_ = 1;  // of rows of outputs
    // Of a copy: bytes of a row, rows apart, rows more than of outputs, bytes of a plane and of all.
    int64_t row_bytes_ = 0, phases_ = 1, more_ = 0, plane_ = 0, copy_ = 0;
    std::optional<dnnl::memory> scratch_;
};

}  // namespace

std::vector<CompiledStep> build_amx_conv(BuildContext& context, const Step& step) {
    if (kernels().amx_conv == nullptr) throw std::invalid_argument(step.where + ": this processor has no AMX");
    const auto made = std::make_shared<const AmxConvolution>(context, step);
    return {{made->info(step), [made](const Run&) { (*made)(); }}};
}

}  // namespace yolo::program
