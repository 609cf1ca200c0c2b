// The gradients of weights in bfloat16 by AMX.
#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "parallel/team.h"
#include "program/cpu/amx_weights.h"
#include "program/cpu/training_amx.h"

namespace yolo::program {
namespace {

// Of copies of the maps at once: a thread's own stay in its second-level cache (2 MB) beside its sums, shared ones in
// those of all.
constexpr int64_t kOwnBytes = 384 * 1024, kSharedBytes = 2048 * 1024;
// Numbers: threads that have not more have sums of their own.
constexpr int64_t kOwnSums = 160 * 1024;
constexpr int64_t kBlock = 16, kTile = kBlock * kBlock;
constexpr int64_t kPlaces = 32;  // that a product takes
constexpr int64_t kPixel = 32;   // bytes of a block's

int64_t rounded_up(int64_t number, int64_t to) {
    return ceil_div(number, to) * to;
}

void add_to(float* to, const float* from, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[i] += from[i];
}

// Whether a plain map's pixels of a place in the stride fit into a block, as channels of their own: the convolution is one of
// stride 1 on these then.
bool folds(const Convolution& c) {
    return c.source.layout == Layout::nchw && c.source.channels * c.shape.stride[0] * c.shape.stride[1] <= kBlock;
}

// Chunks of the batch: some whole images, or some rows of one. Both maps are copied as tiles take them, the gradient with
// zeros wherever a row of places is longer than its own.
class ToWeights {
public:
    ToWeights(BuildContext& context, Workspace::Frame& frame, const Spec& c, const TensorView& gradient,
              const TensorView& source)
        : exec_(context),
          shape_(c->shape),
          source_(source),
          gradient_(gradient),
          starts_(c->starts()),
          bias_(c->bias),
          folded_(folds(*c)) {
        for (const size_t axis : {0, 1}) {
            stride_[axis] = folded_ ? 1 : shape_.stride[axis];
            kernel_[axis] = folded_ ? ceil_div(shape_.kernel[axis], shape_.stride[axis]) : shape_.kernel[axis];
            phases_[axis] = std::min(stride_[axis], kernel_[axis]);
        }
        more_ = (kernel_[0] - 1) / stride_[0];
        width_ = rounded_up(gradient.width - 1 + ceil_div(kernel_[1], stride_[1]), 2);
        sums_count_ = kernel_[0] * kernel_[1] * exec_.blocks(source) * exec_.blocks(gradient) * kTile;
        split(kOwnBytes);
        together_ = exec_.threads == 1 || sums_count_ > kOwnSums || chunks_ < exec_.threads;
        if (together_) split(kSharedBytes);
        lay_out();
        slots_ = together_ ? 1 : exec_.threads;
        const int64_t bytes = slots_ * (source_bytes_ + target_bytes_);
        context.budget.take(c->where, static_cast<double>(bytes));
        copies_ = frame.floats(bytes / 4);
        sums_ = frame.floats(slots_ * sums_count_);
    }
    ToWeights(const ToWeights&) = delete;

    void operator()(const Run& run) const {
        together_ ? sum_together() : sum_apart();
        const int64_t targets = exec_.blocks(gradient_);
        parallel::share(exec_.threads, exec_.blocks(source_) * targets, [&](int, int64_t begin, int64_t end) {
            std::vector<float> room;
            for (int64_t i = begin; i < end; ++i) {
                folded_ ? add_folded(i, run.gradient) : add(i / targets, i % targets, run.gradient, room);
            }
        });
        if (bias_ < 0) return;
        parallel::share(exec_.threads, targets, [&](int, int64_t begin, int64_t end) {
            for (int64_t block = begin; block < end; ++block) add_bias(block, run.gradient + bias_);
        });
    }

private:
    // Into chunks whose copies take at most so many bytes, if one row's do.
    void split(int64_t bytes) {
        const int64_t phases = phases_[0] * phases_[1];
        const int64_t place = (exec_.blocks(source_) * phases + exec_.blocks(gradient_)) * kPixel;
        const int64_t whole = (gradient_.height + more_) * width_, most = bytes / place;
        images_ = std::max<int64_t>(1, std::min(exec_.batch, most / whole));
        images_ = ceil_div(exec_.batch, ceil_div(exec_.batch, images_));  // evenly: the last chunk is as long as the others
        const int64_t rows = whole <= most ? gradient_.height : std::max<int64_t>(1, most / width_ - more_);
        strips_ = ceil_div(gradient_.height, rows);
        rows_ = ceil_div(gradient_.height, strips_);
        chunks_ = ceil_div(exec_.batch, images_) * strips_;
    }

    void lay_out() {
        const int64_t places = images_ * (rows_ + more_) * width_;
        const int64_t reach = more_ * width_ + (kernel_[1] - 1) / stride_[1];
        g_.places = rounded_up(places, kPlaces);
        g_.taps = kernel_[0] * kernel_[1];
        // Rows of a power of two would begin in the same cache sets; a turned row writes whole 16s.
        g_.pitch = rounded_up((g_.places + reach + 16) * 2, 64) + 64;
        if (g_.pitch % 1024 == 0) g_.pitch += 64;
        const int64_t plane = exec_.block * g_.pitch;
        for (int64_t y = 0; y < kernel_[0]; ++y) {
            for (int64_t x = 0; x < kernel_[1]; ++x) {
                const int64_t phase = y % stride_[0] * phases_[1] + x % stride_[1];
                offsets_.push_back(phase * plane + (y / stride_[0] * width_ + x / stride_[1]) * 2);
            }
        }
        g_.offsets = offsets_.data();
        g_.source_step = phases_[0] * phases_[1] * plane;
        g_.target_step = g_.places * kPixel;
        g_.source_sums = exec_.blocks(gradient_) * kTile;
        g_.tap_sums = exec_.blocks(source_) * g_.source_sums;
        source_bytes_ = exec_.blocks(source_) * g_.source_step;
        target_bytes_ = exec_.blocks(gradient_) * g_.target_step;
    }

    std::byte* source_copy(int64_t slot) const {
        return static_cast<std::byte*>(copies_.get_data_handle()) + slot * (source_bytes_ + target_bytes_);
    }
    std::byte* target_copy(int64_t slot) const { return source_copy(slot) + source_bytes_; }
    float* sums(int64_t slot) const { return static_cast<float*>(sums_.get_data_handle()) + slot * sums_count_; }

    // Calls action(image, first row of outputs, rows of them, place) for each image of a chunk; those behind the batch's end
    // have no rows.
    template <class Action>
    void each_image(int64_t chunk, const Action& action) const {
        const int64_t strip = chunk % strips_, first = chunk / strips_ * images_;
        const int64_t row = rows_ * strip, rows = std::min(rows_, gradient_.height - row);
        for (int64_t i = 0; i < images_; ++i) {
            const bool there = first + i < exec_.batch;
            action(there ? first + i : 0, row, there ? rows : 0, i * (rows_ + more_) * width_);
        }
    }

    // What is multiplied with zeros must not be infinite.
    void clear_ends(std::byte* plane) const {
        const int64_t end = images_ * (rows_ + more_) * width_ * 2;
        for (int64_t k = 0; k < exec_.block; ++k) {
            std::memset(plane + k * g_.pitch + end, 0, static_cast<size_t>(g_.pitch - end));
        }
    }

    void copy_source(int64_t slot, int64_t chunk, int64_t block) const {
        folded_ ? fold_source(slot, chunk) : turn_source(slot, chunk, block);
    }

    // Rows of zeros behind the last channel.
    void fold_source(int64_t slot, int64_t chunk) const {
        const int64_t down = shape_.stride[0], along = shape_.stride[1];
        for (int64_t k = 0; k < kBlock; ++k) {
            const int64_t channel = k / along / down, above = k / along % down - shape_.padding[0];
            std::byte* const to = source_copy(slot) + k * g_.pitch;
            each_image(chunk, [&](int64_t image, int64_t first, int64_t rows, int64_t place) {
                const std::byte* const plane = exec_.at(source_, image) + channel * source_.pixels() * source_.element;
                for (int64_t row = 0; row < rows_ + more_; ++row) {
                    const int64_t y = (first + row) * down + above;
                    const bool there =
                        channel < source_.channels && row < rows + more_ && rows > 0 && y >= 0 && y < source_.height;
                    kernels().amx_fold_row(there ? plane + y * source_.width * source_.element : nullptr, source_.width,
                                           k % along - shape_.padding[1], along, width_, to + (place + row * width_) * 2);
                }
            });
        }
        clear_ends(source_copy(slot));
    }

    void turn_source(int64_t slot, int64_t chunk, int64_t block) const {
        std::byte* const planes = source_copy(slot) + block * g_.source_step;
        for (int64_t phase = 0; phase < phases_[0] * phases_[1]; ++phase) {
            std::byte* const plane = planes + phase * exec_.block * g_.pitch;
            const int64_t above = phase / phases_[1] - shape_.padding[0], left = phase % phases_[1] - shape_.padding[1];
            each_image(chunk, [&](int64_t image, int64_t first, int64_t rows, int64_t place) {
                const std::byte* const map = exec_.at(source_, image, block);
                for (int64_t row = 0; row < rows_ + more_; ++row) {
                    const int64_t y = (first + row) * shape_.stride[0] + above;
                    const bool there = row < rows + more_ && rows > 0 && y >= 0 && y < source_.height;
                    kernels().amx_turn_row(there ? map + y * source_.width * kPixel : nullptr, source_.width, left,
                                           shape_.stride[1], width_, plane + (place + row * width_) * 2, g_.pitch);
                }
            });
            clear_ends(plane);
        }
    }

    void pair_target(int64_t slot, int64_t chunk, int64_t block) const {
        std::byte* const to = target_copy(slot) + block * g_.target_step;
        each_image(chunk, [&](int64_t image, int64_t first, int64_t rows, int64_t place) {
            const std::byte* const map = exec_.at(gradient_, image, block);
            for (int64_t row = 0; row < rows_ + more_; ++row) {
                const std::byte* const from = row < rows ? map + (first + row) * gradient_.width * kPixel : nullptr;
                kernels().amx_pair_row(from, gradient_.width, 1, width_, to + (place + row * width_) * kPixel);
            }
        });
        const int64_t end = images_ * (rows_ + more_) * width_ * kPixel;
        std::memset(to + end, 0, static_cast<size_t>(g_.target_step - end));
    }

    // Of a pair of source blocks and one of target blocks.
    void multiply(int64_t slot, int64_t from, int64_t to, bool first) const {
        AmxGradient g = g_;
        g.first = first;
        g.sources = std::min<int64_t>(2, exec_.blocks(source_) - from);
        g.targets = std::min<int64_t>(2, exec_.blocks(gradient_) - to);
        kernels().amx_gradient(source_copy(slot) + from * g.source_step, target_copy(slot) + to * g.target_step, g,
                               sums(slot) + from * g.source_sums + to * kTile);
    }

    void sum_apart() const {
        const int64_t sources = exec_.blocks(source_), targets = exec_.blocks(gradient_);
        parallel::share(exec_.threads, chunks_, [&](int thread, int64_t begin, int64_t end) {
            if (begin == end) std::fill_n(sums(thread), sums_count_, 0.0f);
            for (int64_t chunk = begin; chunk < end; ++chunk) {
                for (int64_t block = 0; block < sources; ++block) copy_source(thread, chunk, block);
                for (int64_t block = 0; block < targets; ++block) pair_target(thread, chunk, block);
                for (int64_t from = 0; from < sources; from += 2) {
                    for (int64_t to = 0; to < targets; to += 2) multiply(thread, from, to, chunk == begin);
                }
            }
        });
    }

    void sum_together() const {
        const int64_t sources = exec_.blocks(source_), targets = exec_.blocks(gradient_), pairs = (targets + 1) / 2;
        for (int64_t chunk = 0; chunk < chunks_; ++chunk) {
            parallel::share(exec_.threads, sources + targets, [&](int, int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                    i < sources ? copy_source(0, chunk, i) : pair_target(0, chunk, i - sources);
                }
            });
            parallel::share(exec_.threads, (sources + 1) / 2 * pairs, [&](int, int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) multiply(0, i / pairs * 2, i % pairs * 2, chunk == 0);
            });
        }
    }

    // Of a source block and a target block, in the order of the slots. `room`: scratch.
    void add(int64_t from, int64_t to, float* gradient, std::vector<float>& room) const {
        const int64_t lanes = exec_.block, area = g_.taps;
        const int64_t sources = std::min(lanes, source_.channels - from * lanes), count = sources * area;
        const int64_t targets = std::min(lanes, gradient_.channels - to * lanes);
        room.resize(static_cast<size_t>(2 * count * lanes));
        float *const together = room.data(), *const turned = together + count * lanes;
        const float* const first = sums(0) + from * g_.source_sums + to * kTile;
        for (int64_t c = 0; c < sources; ++c) {
            for (int64_t tap = 0; tap < area; ++tap) {
                const float* const at = first + tap * g_.tap_sums + c * lanes;
                float* const into = together + (c * area + tap) * lanes;
                std::copy_n(at, kBlock, into);
                for (int64_t slot = 1; slot < slots_; ++slot) add_to(into, at + slot * sums_count_, kBlock);
            }
        }
        kernels().planar[kFloat32](together, count, targets, turned, count);
        for (int64_t k = 0; k < targets; ++k) {
            add_to(gradient + starts_[to * lanes + k] + from * lanes * area, turned + k * count, count);
        }
    }

    // Of the only source block, whose channels are places in the stride, and a target block.
    void add_folded(int64_t to, float* gradient) const {
        const int64_t down = shape_.stride[0], along = shape_.stride[1], lanes = exec_.block;
        const int64_t height = shape_.kernel[0], width = shape_.kernel[1];
        for (int64_t k = 0; k < std::min(lanes, gradient_.channels - to * lanes); ++k) {
            float* weight = gradient + starts_[to * lanes + k];
            for (int64_t c = 0; c < source_.channels; ++c) {
                for (int64_t y = 0; y < height; ++y) {
                    for (int64_t x = 0; x < width; ++x, ++weight) {
                        const int64_t row = (c * down + y % down) * along + x % along;
                        const int64_t tap = y / down * kernel_[1] + x / along;
                        const float* const at = sums(0) + tap * g_.tap_sums + to * kTile + row * lanes + k;
                        float sum = 0.0f;
                        for (int64_t slot = 0; slot < slots_; ++slot) sum += at[slot * sums_count_];
                        *weight += sum;
                    }
                }
            }
        }
    }

    // Sums over all pixels of a target block.
    void add_bias(int64_t block, float* gradient) const {
        double sum[kBlock] = {}, squares[kBlock] = {};
        for (int64_t image = 0; image < exec_.batch; ++image) {
            const std::byte* const plane = exec_.at(gradient_, image, block);
            for (int64_t p = 0; p < gradient_.pixels(); p += kMostPixels) {
                kernels().moments[kBfloat16](plane + p * kPixel, std::min(kMostPixels, gradient_.pixels() - p), sum, squares);
            }
        }
        for (int64_t k = 0; k < std::min(exec_.block, gradient_.channels - block * exec_.block); ++k) {
            gradient[block * exec_.block + k] += static_cast<float>(sum[k]);
        }
    }

    ExecContext exec_;
    ConvShape shape_;
    TensorView source_, gradient_;
    std::vector<int64_t> starts_;
    int64_t bias_;
    bool folded_;
    int64_t stride_[2], kernel_[2];  // of the convolution on the copy
    int64_t phases_[2] = {1, 1}, more_ = 0;  // of a source's rows and columns by their place in the stride; rows behind the last
    int64_t width_ = 0;                      // places of a row
    int64_t images_ = 1, strips_ = 1, rows_ = 1, chunks_ = 1;
    bool together_ = true;
    AmxGradient g_{};
    std::vector<int64_t> offsets_;
    int64_t source_bytes_ = 0, target_bytes_ = 0, sums_count_ = 0, slots_ = 1;
    dnnl::memory copies_, sums_;
};

}  // namespace

bool amx_has_gradient(const Convolution& c) {
    return c.source.layout == Layout::blocked || folds(c);
}

CompiledStep amx_to_weights(BuildContext& context, const Spec& c, const TensorView& gradient, const TensorView& source) {
    if (kernels().amx_conv == nullptr) throw std::invalid_argument(c->where + ": this processor has no AMX");
    Workspace::Frame frame(context.workspace);
    const auto made = std::make_shared<const ToWeights>(context, frame, c, gradient, source);
    return {c->info("conv_weights", "amx:bf16"), [made](const Run& run) { (*made)(run); }};
}

}  // namespace yolo::program
