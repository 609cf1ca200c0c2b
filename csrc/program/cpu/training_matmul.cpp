// 1x1 convolutions that train in float32, and their gradients: one matrix product each, on the maps as they are.
#include "program/cpu/training_matmul.h"

#include <algorithm>
#include <utility>

#include "parallel/team.h"

namespace yolo::program {
namespace {

// Numbers of both maps whose products are summed at once: as many as stay in a thread's caches, of a channel not more
// than float32 adds up without losing digits.
constexpr int64_t kNumbersAtOnce = 1 << 16, kMostAtOnce = 512;
// Numbers: threads that have not more have sums of their own.
constexpr int64_t kOwnSums = 1 << 18;

Winograd geometry(const Convolution& c, bool data) {
    Winograd w{};
    w.form = ConvForm::matmul;
    w.height = c.source.height, w.width = c.source.width;
    w.source_channels = c.source.channels, w.target_channels = c.target.channels;
    if (data) std::swap(w.source_channels, w.target_channels);
    w.room = c.source.pixels();
    return w;
}

float* floats(const dnnl::memory& memory) {
    return static_cast<float*>(memory.get_data_handle());
}

// Calls action(image, begin, end) for the pixels of each image among these, which count on from image to image, at most
// so many at once.
template <class Action>
void each_run(int64_t pixels, int64_t first, int64_t last, int64_t most, const Action& action) {
    while (first < last) {
        const int64_t begin = first % pixels, count = std::min({last - first, pixels - begin, most});
        action(first / pixels, begin, begin + count);
        first += count;
    }
}

class FromWeights {
public:
    FromWeights(BuildContext& context, const Spec& c, bool data, const TensorView& from, const TensorView& to)
        : exec_(context), from_(from), to_(to), data_(data), starts_(c->starts()), w_(geometry(*c, data)) {
        weights_ = Workspace::Frame(context.workspace).floats(w_.source_channels * w_.target_channels);
    }

    void operator()(const Run& run) const {
        parallel::share(exec_.threads, (exec_.blocks(to_) + 1) / 2, [&](int, int64_t begin, int64_t end) {
            kernels().winograd_weights(run.values, starts_.data(), w_, data_, begin, end, floats(weights_));
        });
        const Matmul sides{w_.room, w_.source_channels, w_.target_channels};
        parallel::share(exec_.threads, exec_.batch * w_.room, [&](int, int64_t first, int64_t last) {
            each_run(w_.room, first, last, w_.room, [&](int64_t image, int64_t begin, int64_t end) {
                const auto numbers = [&](const TensorView& map) { return reinterpret_cast<float*>(exec_.at(map, image)); };
                kernels().matmul(numbers(from_), floats(weights_), nullptr, sides, {Function::identity, 0.0f}, nullptr,
                                 numbers(to_), begin, end);
            });
        });
    }

private:
    ExecContext exec_;
    TensorView from_, to_;
    bool data_;
    std::vector<int64_t> starts_;
    Winograd w_;
    dnnl::memory weights_;
};

// Threads have pixels and sums of their own, which are added up at the end; where the sums are large, source channels.
class ToWeights {
public:
    ToWeights(BuildContext& context, const Spec& c, const TensorView& gradient, const TensorView& values)
        : exec_(context),
          values_(values),
          gradient_(gradient),
          starts_(c->starts()),
          w_(geometry(*c, false)),
          at_once_(std::min(kMostAtOnce, std::max(kNumbersAtOnce / (w_.source_channels + w_.target_channels), int64_t{32}))),
          apart_(sums_step(w_) <= kOwnSums),
          sums_(Workspace::Frame(context.workspace).floats((apart_ ? exec_.threads : 1) * sums_step(w_))) {}

    void operator()(const Run& run) const {
        apart_ ? sum_apart() : sum_together();
        parallel::share(exec_.threads, w_.source_channels, [&](int, int64_t begin, int64_t end) {
            kernels().winograd_gradient_finish(floats(sums_), starts_.data(), w_, begin, end, run.gradient);
        });
    }

private:
    void multiply(int64_t first, int64_t last, int64_t begin, int64_t end, float* sums) const {
        bool fresh = true;
        each_run(w_.room, first, last, at_once_, [&](int64_t image, int64_t from, int64_t to) {
            const auto numbers = [&](const TensorView& map) {
                return reinterpret_cast<const float*>(exec_.at(map, image)) + from * exec_.block;
            };
            kernels().winograd_gradient_products(numbers(values_), numbers(gradient_), w_, {0, to - from, begin, end},
                                                 fresh, sums);
            fresh = false;
        });
    }

    void sum_apart() const {
        parallel::share(exec_.threads, exec_.batch * w_.room, [&](int thread, int64_t first, int64_t last) {
            float* const sums = floats(sums_) + thread * sums_step(w_);
            if (first == last) std::fill_n(sums, sums_step(w_), 0.0f);
            multiply(first, last, 0, exec_.blocks(values_), sums);
        });
        parallel::share(exec_.threads, sums_step(w_), [&](int, int64_t begin, int64_t end) {
            float* const to = floats(sums_);
            for (int thread = 1; thread < exec_.threads; ++thread) {
                for (int64_t i = begin; i < end; ++i) to[i] += to[thread * sums_step(w_) + i];
            }
        });
    }

    void sum_together() const {
        parallel::share(exec_.threads, exec_.blocks(values_), [&](int, int64_t begin, int64_t end) {
            multiply(0, exec_.batch * w_.room, begin, end, floats(sums_));
        });
    }

    ExecContext exec_;
    TensorView values_, gradient_;
    std::vector<int64_t> starts_;
    Winograd w_;
    int64_t at_once_;
    bool apart_;
    dnnl::memory sums_;
};

std::string implementation() {
    return std::string("matmul:") + kernels().name;
}

}  // namespace

CompiledStep matmul_from_weights(BuildContext& context, const Spec& c, bool data, const TensorView& from,
                                 const TensorView& to, const std::string& kind) {
    const auto pass = std::make_shared<const FromWeights>(context, c, data, from, to);
    return {c->info(kind, implementation()), [pass](const Run& run) { (*pass)(run); }};
}

CompiledStep matmul_to_weights(BuildContext& context, const Spec& c, const TensorView& gradient,
                               const TensorView& values) {
    const auto pass = std::make_shared<const ToWeights>(context, c, gradient, values);
    return {c->info("conv_weights", implementation()), [pass](const Run& run) { (*pass)(run); }};
}

}  // namespace yolo::program
