#include "program/training/program.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "parallel/team.h"

namespace yolo::program::training {
namespace {

int at_least_one(int threads) {
    if (threads < 1) throw std::invalid_argument("a program needs at least one thread");
    return threads;
}

}  // namespace

TrainingProgram::TrainingProgram(int64_t arena, int64_t batch, int threads, bool bf16, std::shared_ptr<Memory> memory,
                                 std::shared_ptr<net::Exchange> exchange)
    : memory_(std::move(memory)),
      arena_bytes_(static_cast<size_t>(arena)),
      arena_(memory_->maps.of(arena_bytes_)),
      scratch_(static_cast<size_t>(at_least_one(threads) * kMostPixels * loops().lanes) * sizeof(float)),
      place_{batch, threads, arena_->data(), std::make_shared<std::vector<float*>>()},
      exchange_(std::move(exchange)) {
    if (bf16 && !has_bfloat16()) {
        throw std::invalid_argument("bf16 needs a processor with AVX-512 BF16; this one offers " + instruction_set());
    }
    parallel::prefer_threads(threads);  // oneDNN plans for as many
    float* scratch = reinterpret_cast<float*>(scratch_.data());
    for (int t = 0; t < threads; ++t) pieces_.push_back(scratch + t * kMostPixels * loops().lanes);
}

void TrainingProgram::load_images(const Slice& target, bool bytes) {
    images_ = target;
    takes_bytes_ = bytes;
    forward_.push_back(training::load_images(place_, target, bytes));
}

int TrainingProgram::conv(const ConvolutionSpec& spec) {
    convolutions_.push_back(std::make_unique<Convolution>(spec, place_.batch, place_.threads, place_.arena, workspace_));
    forward_.push_back(convolutions_.back()->forward());
    return static_cast<int>(convolutions_.size()) - 1;
}

int TrainingProgram::stage(const StageSpec& spec) {
    stages_.push_back(std::make_unique<Stage>(spec, place_.batch, place_.threads, place_.arena, pieces_,
                                              exchange_));
    forward_.push_back(stages_.back()->forward());
    return static_cast<int>(stages_.size()) - 1;
}

void TrainingProgram::widest(const Slice& slice) {
    plane_ = std::max(plane_, slice.pixels() * loops().lanes);
}

void TrainingProgram::resample(const std::string& where, Resampling kind, const Slice& source, const Slice& target,
                               const Window& window, int64_t index) {
    widest(source);
    widest(target);
    forward_.push_back(training::resample(place_, where, kind, source, target, window, index));
}

void TrainingProgram::attention(const std::string& where, const std::array<Slice, 3>& given, const Slice& target,
                                int64_t heads) {
    forward_.push_back(training::attention(place_, where, given, target, heads, workspace_));
}

void TrainingProgram::attention_back(const std::string& where, const std::array<Slice, 3>& given,
                                     const Slice& gradient, const std::array<Slice, 3>& to, int64_t heads) {
    backward_.push_back(training::attention_back(place_, where, given, gradient, to, heads, workspace_));
}

void TrainingProgram::collect(const std::string& where, const Slice& fine, const Slice& coarse,
                              const std::vector<Link>& links, int64_t stride, bool backward) {
    (backward ? backward_ : forward_).push_back(training::collect(place_, where, fine, coarse, links, stride));
}

void TrainingProgram::spread(const std::string& where, const Slice& fine, const Slice& coarse,
                             const std::vector<Link>& links, int64_t stride, bool clear, bool backward) {
    (backward ? backward_ : forward_).push_back(training::spread(place_, where, fine, coarse, links, stride, clear));
}

void TrainingProgram::store_head(const std::string& where, const Slice& source) {
    forward_.push_back(training::store_head(place_, where, source, static_cast<int64_t>(heads_.size())));
    heads_.push_back(source);
}

void TrainingProgram::load_head_gradient(const std::string& where, const Slice& target, int64_t number) {
    backward_.push_back(training::load_head_gradient(place_, where, target, number));
}

void TrainingProgram::conv_back(int number, const Slice& source, const Slice& gradient,
                                const std::optional<Slice>& source_gradient) {
    Convolution& convolution = *convolutions_.at(static_cast<size_t>(number));
    backward_.push_back(convolution.backward_weights(gradient, source));
    if (source_gradient) backward_.push_back(convolution.backward_data(gradient, *source_gradient));
}

void TrainingProgram::stage_back(int number, const std::vector<Slice>& gradients,
                                 const std::optional<Slice>& source_gradient, const std::optional<Slice>& sum) {
    backward_.push_back(stages_.at(static_cast<size_t>(number))->backward(gradients, source_gradient, sum));
}

void TrainingProgram::stage_again(int number, const std::vector<Slice>& targets, const std::optional<Slice>& residual) {
    backward_.push_back(stages_.at(static_cast<size_t>(number))->again(targets, residual));
}

void TrainingProgram::resample_again(const std::string& where, Resampling kind, const Slice& source,
                                     const Slice& target, const Window& window, int64_t index) {
    backward_.push_back(training::resample(place_, where, kind, source, target, window, index));
}

void TrainingProgram::resample_back(const std::string& where, Resampling kind, const std::vector<Slice>& gradients,
                                    const Slice& source_gradient, const Window& window, int64_t index) {
    backward_.push_back(training::resample_back(place_, where, kind, gradients, source_gradient, window, index));
}

void TrainingProgram::accumulate(const std::string& where, const std::vector<Slice>& sources, const Slice& target) {
    backward_.push_back(training::accumulate(where, sources, target, place_.batch, place_.threads, place_.arena, pieces_));
}

void TrainingProgram::finish() {
    workspace_.place(memory_->workspace.of(workspace_.bytes()));
    const int64_t number = 2 * place_.threads;
    planes_bytes_ = static_cast<size_t>(number * plane_) * sizeof(float);
    planes_ = memory_->planes.of(planes_bytes_);
    for (int64_t t = 0; t < number; ++t) {
        place_.planes->push_back(reinterpret_cast<float*>(planes_->data()) + t * plane_);
    }
}

void TrainingProgram::run(std::vector<Step>& steps, const Run& run) {
    parallel::prefer_threads(place_.threads);  // of this thread only: OneFlow may call from any of its own
    for (Step& step : steps) {
        if (!profiling_) {
            step.action(run);
            continue;
        }
        const auto start = std::chrono::steady_clock::now();
        step.action(run);
        const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - start;
        step.info.milliseconds += passed.count();
        ++step.info.runs;
    }
}

void TrainingProgram::forward(const void* images, float* values, void* const* heads) {
    const std::lock_guard<std::mutex> lock(memory_->mutex);
    Run given;
    given.images = images, given.values = values, given.heads = heads;
    memory_->holder = nullptr;
    run(forward_, given);
    memory_->holder = this;
}

void TrainingProgram::backward(const void* const* head_gradients, float* values, float* gradient) {
    const std::lock_guard<std::mutex> lock(memory_->mutex);
    if (memory_->holder != this) throw std::logic_error("backward without a forward before it: its feature maps are gone");
    memory_->holder = nullptr;
    Run given;
    given.head_gradients = head_gradients, given.values = values, given.gradient = gradient;
    run(backward_, given);
}

std::vector<StepInfo> TrainingProgram::steps() const {
    std::vector<StepInfo> all;
    for (const auto* steps : {&forward_, &backward_}) {
        for (const Step& step : *steps) all.push_back(step.info);
    }
    return all;
}

void TrainingProgram::profile(bool on) {
    const std::lock_guard<std::mutex> lock(memory_->mutex);
    profiling_ = on;
    if (!on) return;
    for (auto* steps : {&forward_, &backward_}) {
        for (Step& step : *steps) step.info.milliseconds = 0, step.info.runs = 0;
    }
}

std::vector<std::string> TrainingProgram::notes() const {
    std::vector<std::string> all;
    for (const auto& convolution : convolutions_) {
        all.insert(all.end(), convolution->notes().begin(), convolution->notes().end());
    }
    return all;
}

void ForwardPass::run(const void* const* inputs, void* const* outputs) {
    program_->forward(inputs[0], static_cast<float*>(const_cast<void*>(inputs[1])), outputs);
}

void BackwardPass::run(const void* const* inputs, void* const*) {
    const size_t heads = program_->heads().size();
    program_->backward(inputs, static_cast<float*>(const_cast<void*>(inputs[heads])),
                       static_cast<float*>(const_cast<void*>(inputs[heads + 1])));
}

}  // namespace yolo::program::training
