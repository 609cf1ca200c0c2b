#include "program/cpu/int8.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "parallel/team.h"
#include "program/cpu/convolution.h"
#include "program/cpu/int8_finish.h"
#include "program/cpu/int8_weights.h"

namespace yolo::program {
namespace {

// A thread's outputs at once: their bytes stay in its caches while all weights go by.
constexpr int64_t kOutputsAtOnce = 96;

int64_t floats_for(int64_t bytes) {
    return (bytes + 3) / 4;
}

class FoursConv {
public:
    FoursConv(BuildContext& context, const Step& step)
        : exec_(context),
          shape_(step),
          source_(step.view("source")),
          target_(step.view("target")),
          form_(shape_.weights, context.block),
          zero_(Scale(step, "source").zero),
          weights_(context.packed(step.where, step.text("weights") + ".weight", shape_.weights, kFoursPacking)),
          finish_(context, step) {
        const auto* const sums = reinterpret_cast<const int32_t*>(weights_->data() + form_.panels * form_.panel_bytes());
        for (int64_t k = 0; k < form_.panels * form_.lanes; ++k) offsets_.push_back(-zero_ * sums[k]);
        set_geometry();
        const int64_t rows = (at_once_ - 1) * shape_.stride[0] + shape_.kernel[0];
        Workspace::Frame frame(context.workspace);
        padded_bytes_ = in_place_ ? 0 : rows * conv_.run_step + form_.length;
        if (!in_place_) {
            context.budget.take(step.where, static_cast<double>(exec_.threads) * static_cast<double>(padded_bytes_));
            padded_ = frame.floats(exec_.threads * floats_for(padded_bytes_));
        }
        sums_ = frame.floats(exec_.threads * at_once_ * conv_.width * form_.lanes);
    }

    void operator()() const {
        for (int64_t image = 0; image < exec_.batch; ++image) {
            parallel::share(exec_.threads, rows_, [&](int thread, int64_t first, int64_t last) {
                const int64_t parts = (last - first + at_once_ - 1) / at_once_;
                for (int64_t part = 0; part < parts; ++part) {
                    const int64_t row = first + (last - first) * part / parts;
                    compute(image, thread, row, first + (last - first) * (part + 1) / parts - row);
                }
            });
        }
    }

    StepInfo info(const Step& step) const {
        const int64_t maps = source_.image_bytes() + target_.image_bytes();
        return {"conv", step.where, std::string("fours:") + kernels().name, shape_.flops(source_, target_),
                maps + static_cast<int64_t>(weights_->bytes())};
    }

private:
    void set_geometry() {
        const auto all = [](const dnnl::memory::dims& sides, int64_t value) {
            return sides[0] == value && sides[1] == value;
        };
        const bool pointwise = all(shape_.kernel, 1) && all(shape_.stride, 1) && all(shape_.padding, 0);
        in_place_ = pointwise && source_.channels == form_.length;
        rows_ = pointwise ? target_.pixels() : target_.height;
        conv_.width = pointwise ? 1 : target_.width;
        conv_.runs = form_.runs, conv_.length = form_.length;
        // Whole rows of what the outputs of a row take, with their padding.
        const int64_t columns = (conv_.width - 1) * shape_.stride[1] + shape_.kernel[1];
        conv_.run_step = columns * source_.channels;
        conv_.row_step = shape_.stride[0] * conv_.run_step;
        conv_.column_step = shape_.stride[1] * source_.channels;
        at_once_ = std::min(rows_, std::max<int64_t>(1, kOutputsAtOnce / conv_.width));
    }

    // Rows `first` to `first + count` of the source, which may lie outside of it, with their padding.
    void pad(const uint8_t* source, int64_t first, int64_t count, uint8_t* to) const {
        const bool flat = conv_.width == 1 && rows_ == source_.pixels();
        const int64_t height = flat ? source_.pixels() : source_.height, width = flat ? 1 : source_.width;
        const int64_t left = shape_.padding[1] * source_.channels, row = width * source_.channels;
        const int64_t inside = std::max<int64_t>(0, std::min(row, conv_.run_step - left));
        for (int64_t y = first; y < first + count; ++y, to += conv_.run_step) {
            const bool there = y >= 0 && y < height;
            const int64_t before = there ? std::min(left, conv_.run_step) : conv_.run_step;
            std::memset(to, zero_, static_cast<size_t>(before));
            if (!there) continue;
            std::memcpy(to + before, source + y * row, static_cast<size_t>(inside));
            std::memset(to + before + inside, zero_, static_cast<size_t>(conv_.run_step - before - inside));
        }
        std::memset(to, 0, static_cast<size_t>(form_.length));  // which the last run reads and multiplies with zeros
    }

    void compute(int64_t image, int thread, int64_t row, int64_t count) const {
        const auto* bytes = reinterpret_cast<const uint8_t*>(exec_.at(source_, image));
        auto* const sums = static_cast<int32_t*>(sums_.get_data_handle()) + thread * at_once_ * conv_.width * form_.lanes;
        if (in_place_) {
            bytes += row * source_.channels;
        } else {
            auto* const all = static_cast<uint8_t*>(padded_.get_data_handle());
            uint8_t* const own = all + thread * floats_for(padded_bytes_) * 4;
            pad(bytes, row * shape_.stride[0] - shape_.padding[0], (count - 1) * shape_.stride[0] + shape_.kernel[0], own);
            bytes = own;
        }
        const int64_t outputs = count * conv_.width, output = row * conv_.width;
        for (int64_t panel = 0; panel < form_.panels; ++panel) {
            const auto* const weights = reinterpret_cast<const int8_t*>(weights_->data()) + panel * form_.panel_bytes();
            kernels().byte_sums(bytes, conv_, outputs, weights, offsets_.data() + panel * form_.lanes, sums);
            kernels().byte_finish(sums, finish_.at(exec_, image, output, panel), outputs,
                                  std::min(form_.lanes, target_.channels - panel * form_.lanes));
        }
    }

    ExecContext exec_;
    ConvShape shape_;
    TensorView source_, target_;
    Fours form_;
    int32_t zero_;
    std::shared_ptr<const Buffer> weights_;
    Int8Finish finish_;
    std::vector<int32_t> offsets_;  // what the zeros of bytes make of each channel's sum
    ByteConv conv_{};
    bool in_place_ = false;
    int64_t rows_ = 0, at_once_ = 0, padded_bytes_ = 0;
    dnnl::memory padded_, sums_;
};

}  // namespace

std::vector<CompiledStep> build_fours_conv(BuildContext& context, const Step& step) {
    const auto made = std::make_shared<const FoursConv>(context, step);
    return {{made->info(step), [made](const Run&) { (*made)(); }}};
}

}  // namespace yolo::program
