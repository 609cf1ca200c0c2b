// 3x3 convolutions of bytes by F(4x4, 3x3) on words of 16 bits: a quarter of the products, and the same sums to the bit.
#include <algorithm>
#include <memory>

#include "parallel/team.h"
#include "program/cpu/convolution.h"
#include "program/cpu/int8.h"
#include "program/cpu/int8_finish.h"
#include "program/cpu/int8_weights.h"

namespace yolo::program {
namespace {

// A thread's tiles at once: points and sums of that many stay in its caches, and weights are read seldom enough. Up to
// half as many more are not worth another pass over the weights.
constexpr int64_t kTilesAtOnce = 24, kMostTiles = 36;
// Between the 36 matrices, which would begin in the same cache sets if their sizes were powers of two.
constexpr int64_t kPad = 32;
// What the kernels' sums are of the convolution's.
constexpr float kTimes = 64.0f;

class Int8Winograd {
public:
    Int8Winograd(BuildContext& context, const Step& step)
        : exec_(context),
          source_(step.view("source")),
          target_(step.view("target")),
          zero_(Scale(step, "source").zero),
          weights_(context.packed(step.where, step.text("weights") + ".weight", ConvShape(step).weights,
                                  kInt8WinogradPacking)),
          finish_(context, step, kTimes) {
        w_.height = target_.height, w_.width = target_.width;
        w_.rows = (w_.height + 3) / 4, w_.columns = (w_.width + 3) / 4;
        w_.source_channels = source_.channels, w_.target_channels = target_.channels;
        // Of a small map every thread would read all weights for a few tiles: then they share these, phase by phase.
        together_ = exec_.threads > 1 && tiles() < kTilesAtOnce * exec_.threads;
        const int64_t own = (tiles() + exec_.threads - 1) / exec_.threads;
        room_ = together_ ? tiles() : own <= kMostTiles ? own : kTilesAtOnce;
        w_.source_step = room_ * w_.source_channels + kPad;
        w_.target_step = room_ * 2 * exec_.block + kPad;
        Workspace::Frame frame(context.workspace);
        points_ = frame.floats((together_ ? 1 : exec_.threads) * kInt8Points * w_.source_step / 2);
        sums_ = frame.floats((together_ ? panels() : exec_.threads) * kInt8Points * w_.target_step);
    }

    void operator()() const {
        for (int64_t image = 0; image < exec_.batch; ++image) together_ ? run_together(image) : run_apart(image);
    }

    StepInfo info(const Step& step) const {
        const int64_t maps = source_.image_bytes() + target_.image_bytes();
        StepInfo info{"conv", step.where, std::string("winograd:") + kernels().name, ConvShape(step).flops(source_, target_),
                      maps + static_cast<int64_t>(weights_->bytes())};
        info.executed = 2.0 * static_cast<double>(kInt8Points * tiles() * w_.source_channels * w_.target_channels);
        return info;
    }

private:
    int64_t tiles() const { return w_.rows * w_.columns; }
    // Of source channels, as the kernel for points goes through them.
    int64_t source_blocks() const { return w_.source_channels / (2 * exec_.block); }
    // Pairs of target channel blocks.
    int64_t panels() const { return (exec_.blocks(target_) + 1) / 2; }

    int16_t* points(int64_t slot = 0) const {
        return static_cast<int16_t*>(points_.get_data_handle()) + slot * kInt8Points * w_.source_step;
    }

    // Of a thread's only panel, or of each panel.
    int32_t* sums(int64_t slot) const {
        return static_cast<int32_t*>(sums_.get_data_handle()) + slot * kInt8Points * w_.target_step;
    }

    void transform(int64_t image, int64_t slot, const WinogradPart& part) const {
        kernels().word_points(reinterpret_cast<const uint8_t*>(exec_.at(source_, image)), zero_, w_, part, points(slot));
    }

    // From its own points, or from those of all.
    void multiply(int64_t slot, const WinogradPart& part, int32_t* sums) const {
        kernels().word_products(points(slot), reinterpret_cast<const int16_t*>(weights_->data()), w_, part, sums);
    }

    void finish(int64_t image, const WinogradPart& part, const int32_t* sums) const {
        kernels().word_finish(sums, w_, part, finish_.at(exec_, image, 0, 0));
    }

    // Every thread has tiles of its own, a few at a time, and finishes sums while they are in its nearest caches.
    void run_apart(int64_t image) const {
        parallel::share(exec_.threads, tiles(), [&](int thread, int64_t first, int64_t last) {
            const int64_t parts = (last - first + room_ - 1) / room_;
            for (int64_t part = 0; part < parts; ++part) {
                const int64_t tile = first + (last - first) * part / parts;
                const int64_t count = first + (last - first) * (part + 1) / parts - tile;
                transform(image, thread, {tile, count, 0, source_blocks()});
                for (int64_t panel = 0; panel < panels(); ++panel) {
                    const int64_t block = 2 * panel, end = std::min(block + 2, exec_.blocks(target_));
                    multiply(thread, {tile, count, panel * kInt8Points, (panel + 1) * kInt8Points}, sums(thread));
                    finish(image, {tile, count, block, end}, sums(thread));
                }
            }
        });
    }

    void run_together(int64_t image) const {
        parallel::share(exec_.threads, source_blocks(), [&](int, int64_t begin, int64_t end) {
            transform(image, 0, {0, tiles(), begin, end});
        });
        parallel::share(exec_.threads, panels() * kInt8Points, [&](int, int64_t begin, int64_t end) {
            multiply(0, {0, tiles(), begin, end}, sums(begin / kInt8Points));
        });
        parallel::share(exec_.threads, exec_.blocks(target_), [&](int, int64_t begin, int64_t end) {
            finish(image, {0, tiles(), begin, end}, sums(begin / 2));
        });
    }

    ExecContext exec_;
    TensorView source_, target_;
    int32_t zero_;
    std::shared_ptr<const Buffer> weights_;
    Int8Finish finish_;
    WordWinograd w_{};
    bool together_ = false;
    int64_t room_ = 0;
    dnnl::memory points_, sums_;
};

}  // namespace

std::vector<CompiledStep> build_int8_winograd_conv(BuildContext& context, const Step& step) {
    const auto made = std::make_shared<const Int8Winograd>(context, step);
    return {{made->info(step), [made](const Run&) { (*made)(); }}};
}

}  // namespace yolo::program
