#include "program/cuda/step.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "program/cuda/heads.h"

namespace yolo::program::cuda {
namespace {

constexpr const char* kVectors[] = {"values", "gradient", "first", "second", "ema"};

void require(bool fits, const char* what) {
    if (!fits) throw std::invalid_argument(what);
}

template <class Type>
Type* as(const DeviceBuffer& buffer) {
    return reinterpret_cast<Type*>(buffer.data());
}

}  // namespace

TrainVectors::TrainVectors(const std::array<int64_t, 5>& numbers, bool scaled) {
    for (const int64_t count : numbers) {
        require(count >= 0, "a vector of less than no numbers");
        vectors_.push_back(std::make_unique<DeviceBuffer>(static_cast<size_t>(count) * sizeof(float)));
    }
    if (!scaled) return;
    loss_scale_ = std::make_unique<DeviceBuffer>(sizeof(ops::cuda::LossScale));
    write_scale({});
}

ops::cuda::LossScale TrainVectors::read_scale() const {
    if (!loss_scale_) throw std::logic_error("the loss is not scaled");
    ops::cuda::LossScale scale;
    yolo::cuda::copy_out(&scale, loss_scale_->data(), sizeof scale, stream());
    yolo::cuda::synchronise(stream());
    return scale;
}

void TrainVectors::write_scale(const ops::cuda::LossScale& scale) {
    if (!loss_scale_) throw std::logic_error("the loss is not scaled");
    yolo::cuda::copy_in(loss_scale_->data(), &scale, sizeof scale, stream());
    yolo::cuda::synchronise(stream());
}

size_t TrainVectors::place(const std::string& name) {
    const auto found = std::find(std::begin(kVectors), std::end(kVectors), name);
    if (found == std::end(kVectors)) throw std::out_of_range("training has no vector " + name);
    return static_cast<size_t>(found - std::begin(kVectors));
}

void TrainVectors::write(const std::string& name, const float* from) {
    const DeviceBuffer& vector = *vectors_[place(name)];
    yolo::cuda::copy_in(vector.data(), from, vector.bytes(), stream());
    yolo::cuda::synchronise(stream());
}

void TrainVectors::read(const std::string& name, float* to) const {
    const DeviceBuffer& vector = *vectors_[place(name)];
    yolo::cuda::copy_out(to, vector.data(), vector.bytes(), stream());
    yolo::cuda::synchronise(stream());
}

int64_t TrainVectors::numbers(const std::string& name) const {
    return static_cast<int64_t>(vectors_[place(name)]->bytes() / sizeof(float));
}

float* TrainVectors::at(const std::string& name) const {
    return as<float>(*vectors_[place(name)]);
}

ops::UpdateBuffers TrainVectors::buffers() const {
    return {at("values"), at("gradient"), at("first"), at("second"), at("ema")};
}

ops::cuda::LossScale* TrainVectors::loss_scale() const {
    return loss_scale_ ? as<ops::cuda::LossScale>(*loss_scale_) : nullptr;
}

GradientStep::GradientStep(Executor& executor, const DetectionLoss& loss, int64_t places, const TrainVectors& vectors,
                           int64_t ranks)
    : executor_(executor), vectors_(vectors), ranks_(ranks), images_(bytes_of(executor.plan().images, 1)),
      matches_(loss.levels() * sizeof(double)), loss_(loss, executor.plan().images[0], places, vectors.stream()),
      work_([this](Stream stream) { give(stream); }, executor.recordable()) {
    require(ranks >= 1, "ranks: expected 1 or more");
    const Plan& plan = executor.plan();
    bool fits = plan.heads.size() == loss.levels() && vectors.numbers("values") >= plan.values &&
                vectors.numbers("gradient") >= plan.gradient;
    std::vector<size_t> starts{0};
    for (size_t i = 0; fits && i < loss.levels(); ++i) {
        fits = bytes_of(plan.heads[i], 1) == static_cast<size_t>(plan.images[0] * loss.head_size(i));
        starts.push_back(starts.back() + aligned(bytes_of(plan.heads[i], sizeof(float))));
    }
    require(fits, "the loss or the vectors are another network's");
    memory_ = executor.memory().heads.of(2 * starts.back() + loss_.scratch_bytes());
    std::vector<float*> slopes;
    for (size_t i = 0; i < loss.levels(); ++i) {
        heads_.push_back(reinterpret_cast<float*>(memory_->data() + starts[i]));
        slopes.push_back(reinterpret_cast<float*>(memory_->data() + starts.back() + starts[i]));
    }
    slopes_.assign(slopes.begin(), slopes.end());
    loss_.place(heads_, slopes, memory_->data() + 2 * starts.back());
}

void GradientStep::take(std::shared_ptr<const StagedImages> images) {
    require(images != nullptr && images->bytes() == images_.bytes(), "images: another shape than the program takes");
    staged_ = std::move(images);
}

void GradientStep::give(Stream stream) {
    Run run;
    run.stream = stream, run.images = as<const uint8_t>(images_), run.values = vectors_.at("values");
    run.heads = heads_.data(), run.head_gradients = slopes_.data(), run.gradient = vectors_.at("gradient");
    executor_.forward(run);
    const ops::cuda::LossScale* const scale = vectors_.loss_scale();
    loss_.give(stream, {ranks_, ranks_ == 1 ? nullptr : as<const double>(matches_)},
               scale == nullptr ? nullptr : &scale->scale);
    executor_.backward(run);
}

void GradientStep::compute(const void* const* inputs, void* const* outputs) {
    if (staged_ == nullptr) throw std::logic_error("a training step without images");
    const std::lock_guard<std::mutex> lock(executor_.memory().mutex);
    const Stream stream = vectors_.stream();
    yolo::cuda::copy(images_.data(), staged_->data(), images_.bytes(), stream);
    loss_.take(inputs[0], inputs[1], stream);
    if (ranks_ > 1) yolo::cuda::copy_in(matches_.data(), inputs[2], matches_.bytes(), stream);
    work_.start(stream);
    loss_.parts_to(outputs[0], stream);
    yolo::cuda::synchronise(stream);
    staged_.reset();  // whoever filled it may do so again
}

UpdateStep::UpdateStep(ops::Optimizer optimizer, ops::UpdateSizes sizes, float weight_decay, const TrainVectors& vectors,
                       std::shared_ptr<Group> group, int64_t frozen)
    : optimizer_(optimizer), sizes_(sizes), weight_decay_(weight_decay), vectors_(vectors), group_(std::move(group)),
      frozen_(frozen),
      rates_(sizeof(ops::UpdateRates)), norm_(sizeof(float)), scratch_(ops::cuda::update_scratch_bytes(sizes)),
      work_([this](Stream stream) {
          ops::cuda::update_parameters(optimizer_, vectors_.buffers(), sizes_, as<const ops::UpdateRates>(rates_),
                                       weight_decay_, vectors_.loss_scale(), as<float>(norm_), scratch_.data(), stream);
      }) {
    const int64_t parameters = sizes.bias + sizes.weight + sizes.norm;
    require(sizes.bias >= 0 && sizes.weight >= 0 && sizes.norm >= 0 && sizes.statistics >= 0,
            "group_sizes: expected 0 or more");
    require(frozen >= 0 && frozen <= sizes.statistics, "frozen: expected 0 to statistics");
    require(weight_decay >= 0 && std::isfinite(weight_decay), "weight_decay: expected 0 or more");
    bool fits = true;
    for (const char* name : {"values", "ema"}) fits = fits && vectors.numbers(name) >= parameters + sizes.statistics;
    for (const char* name : {"gradient", "first"}) fits = fits && vectors.numbers(name) >= parameters;
    fits = fits && (optimizer == ops::Optimizer::kSgd || vectors.numbers("second") >= parameters);
    require(fits, "the vectors are another network's or optimizer's");
}

void UpdateStep::join_ranks(Stream stream) const {
    const int64_t parameters = sizes_.bias + sizes_.weight + sizes_.norm;
    float* const statistics = vectors_.at("values") + parameters + frozen_;
    const int64_t count = sizes_.statistics - frozen_;
    ops::cuda::divide(statistics, count, group_->ranks(), stream);
    group_->sum(statistics, count, stream);
    group_->sum(vectors_.at("gradient"), parameters, stream);
}

void UpdateStep::compute(const void* const* inputs, void* const* outputs) {
    const Stream stream = vectors_.stream();
    if (group_) join_ranks(stream);
    yolo::cuda::copy_in(rates_.data(), inputs[0], rates_.bytes(), stream);
    work_.start(stream);
    yolo::cuda::copy_out(outputs[0], norm_.data(), norm_.bytes(), stream);
    yolo::cuda::synchronise(stream);
}

}  // namespace yolo::program::cuda
