#include "program/step/step.h"

#include <utility>

#include "program/worker.h"

namespace yolo::program {

namespace {

template <class Value>
Value* written(const void* input) {
    return const_cast<Value*>(static_cast<const Value*>(input));  // the graph gave it as mutable
}

template <class Pointer>
std::vector<Pointer> addresses(const std::vector<Buffer>& buffers) {
    std::vector<Pointer> places;
    for (const Buffer& buffer : buffers) places.push_back(reinterpret_cast<Pointer>(buffer.data()));
    return places;
}

}  // namespace

GradientStep::GradientStep(std::shared_ptr<training::TrainingProgram> program, DetectionLoss loss, int64_t places)
    : program_(std::move(program)), loss_(std::move(loss)), places_(places) {
    for (size_t level = 0; level < loss_.levels(); ++level) {
        const auto bytes = static_cast<size_t>(program_->batch() * loss_.head_size(level)) * sizeof(float);
        heads_.emplace_back(bytes);
        slopes_.emplace_back(bytes);
    }
    terms_.resize(loss_.levels() * ops::kLossTerms);
}

void GradientStep::run(const void* const* inputs, void* const* outputs) {
    run_on_worker([&] { step(inputs, outputs); });
}

void GradientStep::step(const void* const* inputs, void* const* outputs) {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto* values = written<float>(inputs[3]);
    const auto heads = addresses<void*>(heads_);
    program_->forward(inputs[0], values, heads.data());
    loss_.compute(addresses<const float*>(heads_).data(), static_cast<const float*>(inputs[1]),
                  static_cast<const int32_t*>(inputs[2]), program_->batch(), places_,
                  addresses<float*>(slopes_).data(), terms_.data(), static_cast<float*>(outputs[0]));
    program_->backward(addresses<const void*>(slopes_).data(), values, written<float>(inputs[4]));
}

void UpdateStep::run(const void* const* inputs, void* const* outputs) {
    const auto* r = static_cast<const float*>(inputs[0]);
    const ops::UpdateBuffers buffers{written<float>(inputs[1]), written<float>(inputs[2]), written<float>(inputs[3]),
                                     written<float>(inputs[4]), written<float>(inputs[5])};
    const ops::UpdateRates rates{r[0], r[1], r[2], r[3], r[4], r[5], r[6]};
    *static_cast<float*>(outputs[0]) =
        static_cast<float>(ops::update_parameters(optimizer_, buffers, sizes_, rates, weight_decay_));
}

}  // namespace yolo::program
