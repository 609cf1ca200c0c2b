#include "program/inference/program.h"

#include <chrono>
#include <stdexcept>
#include <utility>

#include "parallel/team.h"

namespace yolo::program {

using dnnl::memory;

InferenceProgram::InferenceProgram(std::shared_ptr<Weights> weights, int64_t arena, int64_t batch, int threads,
                                   bool bf16)
    : weights_(std::move(weights)),
      arena_(static_cast<size_t>(arena)),
      batch_(batch),
      threads_(threads),
      bf16_(bf16),
      stream_(engine()) {
    if (bf16 && !has_bfloat16()) {
        throw std::invalid_argument("this processor has no bfloat16 instructions (it has " + instruction_set() + ")");
    }
}

memory::data_type InferenceProgram::type() const {
    return bf16_ ? memory::data_type::bf16 : memory::data_type::f32;
}

memory::desc InferenceProgram::desc(const View& view, bool as_float) const {
    const memory::data_type own = view.last ? memory::data_type::u8 : type();
    const memory::format_tag maps = view.plain ? memory::format_tag::nchw : blocked_tag();
    return {{1, view.channels, view.height, view.width},
            as_float ? memory::data_type::f32 : own,
            view.last ? memory::format_tag::nhwc : maps};
}

memory InferenceProgram::tensor(const View& view, bool as_float) const {
    return {desc(view, as_float), engine(), at(view)};
}

void InferenceProgram::step(StepInfo info, std::function<void()> action) {
    info_.push_back(std::move(info));
    actions_.push_back(std::move(action));
}

void InferenceProgram::primitive(StepInfo info, const dnnl::primitive& primitive, Arguments arguments,
                                 const memory::desc& scratch) {
    if (scratch.get_size() > 0) {
        memory place(scratch, engine(), nullptr);  // all steps share one scratchpad: they run one after the other
        scratch_bytes_ = std::max(scratch_bytes_, scratch.get_size());
        scratch_users_.push_back(place);
        arguments.emplace(DNNL_ARG_SCRATCHPAD, place);
    }
    step(std::move(info), [this, primitive, arguments = std::move(arguments)] {
        primitive.execute(stream_, arguments);
    });
}

void InferenceProgram::input(const View& to, bool scaled) {
    input_ = to;
    scaled_ = scaled;
}

void InferenceProgram::output(const View& from) {
    outputs_.push_back(from);
}

void InferenceProgram::finish() {
    scratch_ = std::make_unique<Buffer>(scratch_bytes_);
    for (dnnl::memory& user : scratch_users_) user.set_data_handle(scratch_->data());
}

void InferenceProgram::one(const uint8_t* picture, float* const* outputs, bool timed) {
    using Clock = std::chrono::steady_clock;
    load(picture);
    for (size_t i = 0; i < actions_.size(); ++i) {
        const auto begin = timed ? Clock::now() : Clock::time_point();
        actions_[i]();
        if (timed) {
            stream_.wait();
            info_[i].milliseconds = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
        }
    }
    stream_.wait();
    for (size_t i = 0; i < outputs_.size(); ++i) store(outputs_[i], outputs[i]);
}

void InferenceProgram::all(const void* const* inputs, void* const* outputs, bool timed) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const parallel::Turn turn;
    parallel::prefer_threads(threads_);
    const auto* pictures = static_cast<const uint8_t*>(inputs[0]);
    std::vector<float*> places(outputs_.size());
    for (int64_t picture = 0; picture < batch_; ++picture) {
        for (size_t i = 0; i < places.size(); ++i) {
            places[i] = static_cast<float*>(outputs[i]) + picture * outputs_[i].channels * outputs_[i].pixels();
        }
        one(pictures + picture * input_.channels * input_.pixels(), places.data(), timed);
    }
}

void InferenceProgram::run(const void* const* inputs, void* const* outputs) {
    all(inputs, outputs, false);
}

void InferenceProgram::profile(const void* const* inputs, void* const* outputs) {
    all(inputs, outputs, true);
}

}  // namespace yolo::program
