#include "program/step/step.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace yolo::program {

namespace {

constexpr size_t kLine = 64;  // bytes of the processor's cache lines

template <class Value>
Value* written(const void* input) {
    return const_cast<Value*>(static_cast<const Value*>(input));  // the graph gave it as mutable
}

template <class Pointer>
std::vector<Pointer> addresses(const std::vector<std::byte*>& levels) {
    std::vector<Pointer> places;
    for (std::byte* level : levels) places.push_back(reinterpret_cast<Pointer>(level));
    return places;
}

}  // namespace

GradientStep::GradientStep(Executor& executor, DetectionLoss loss, int64_t places, int64_t ranks)
    : executor_(executor), loss_(std::move(loss)), places_(places), ranks_(ranks) {
    const Plan& plan = executor_.plan();
    bool fits = plan.heads.size() == loss_.levels();
    std::vector<size_t> starts{0};
    for (size_t level = 0; level < loss_.levels(); ++level) {
        const auto bytes = static_cast<size_t>(plan.images[0] * loss_.head_size(level)) * sizeof(float);
        fits = fits && plan.heads[level][1] * plan.heads[level][2] * plan.heads[level][3] == loss_.head_size(level);
        starts.push_back(starts.back() + (bytes + kLine - 1) / kLine * kLine);
    }
    if (!fits) throw std::invalid_argument("the loss takes other heads than the network gives");
    buffer_ = executor_.memory().heads.of(2 * starts.back());
    for (size_t level = 0; level < loss_.levels(); ++level) {
        heads_.push_back(buffer_->data() + starts[level]);
        gradients_.push_back(buffer_->data() + starts.back() + starts[level]);
    }
    terms_.resize(loss_.levels() * ops::kLossTerms);
}

void GradientStep::compute(const void* const* inputs, void* const* outputs) {
    const std::lock_guard<std::mutex> lock(executor_.memory().step);
    const bool alone = ranks_ == 1;
    const ops::Whole whole{ranks_, alone ? nullptr : static_cast<const double*>(inputs[3])};
    const void* const* mutable_inputs = inputs + (alone ? 3 : 4);
    auto* values = written<float>(mutable_inputs[0]);
    const auto heads = addresses<void*>(heads_);
    executor_.forward(inputs[0], values, heads.data());
    loss_.compute(addresses<const float*>(heads_).data(), static_cast<const float*>(inputs[1]),
                  static_cast<const int32_t*>(inputs[2]), executor_.plan().images[0], places_,
                  addresses<float*>(gradients_).data(), terms_.data(), static_cast<float*>(outputs[0]), whole);
    executor_.backward(addresses<const void*>(gradients_).data(), values, written<float>(mutable_inputs[1]));
}

void Contribution::run(const void* const* inputs, void* const* outputs) {
    const auto* gradient = static_cast<const float*>(inputs[0]);
    const auto* values = static_cast<const float*>(inputs[1]);
    auto* sum = static_cast<float*>(outputs[0]);
    std::copy_n(gradient, parameters_, sum);
    std::fill_n(sum + parameters_, frozen_, 0.0f);
    for (int64_t i = parameters_ + frozen_; i < size_; ++i) sum[i] = values[i] / static_cast<float>(ranks_);
}

UpdateStep::UpdateStep(ops::Optimizer optimizer, ops::UpdateSizes sizes, float weight_decay, int64_t ranks,
                       int64_t frozen)
    : optimizer_(optimizer), sizes_(sizes), weight_decay_(weight_decay), ranks_(ranks), frozen_(frozen) {
    const auto require = [](bool fits, const char* what) {
        if (!fits) throw std::invalid_argument(what);
    };
    require(sizes.bias >= 0 && sizes.weight >= 0 && sizes.norm >= 0, "group_sizes: expected 0 or more");
    require(frozen >= 0 && frozen <= sizes.statistics, "frozen: expected 0 to statistics");
    require(ranks >= 1, "ranks: expected 1 or more");
    require(weight_decay >= 0 && std::isfinite(weight_decay), "weight_decay: expected 0 or more");
}

void UpdateStep::compute(const void* const* inputs, void* const* outputs) {
    const auto* r = static_cast<const float*>(inputs[0]);
    const void* const* m = inputs + (ranks_ == 1 ? 1 : 2);
    const ops::UpdateBuffers buffers{written<float>(m[0]), written<float>(m[1]), written<float>(m[2]),
                                     written<float>(m[3]), written<float>(m[4])};
    if (ranks_ != 1) {
        const auto* sum = static_cast<const float*>(inputs[1]);
        const int64_t parameters = sizes_.bias + sizes_.weight + sizes_.norm;
        std::copy_n(sum, parameters, buffers.gradient);
        const int64_t first = parameters + frozen_;
        std::copy_n(sum + first, sizes_.statistics - frozen_, buffers.values + first);
    }
    const ops::UpdateRates rates{r[0], r[1], r[2], r[3], r[4], r[5], r[6]};
    *static_cast<float*>(outputs[0]) =
        static_cast<float>(ops::update_parameters(optimizer_, buffers, sizes_, rates, weight_decay_));
}

}  // namespace yolo::program
