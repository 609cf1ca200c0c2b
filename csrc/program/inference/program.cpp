#include "program/inference/program.h"

#include <chrono>
#include <stdexcept>
#include <utility>

#include "parallel/team.h"

namespace yolo::program {

using dnnl::memory;

namespace {

constexpr int kMostThreads = 4096;

// Of the whole program, so no step is named.
int64_t checked_arena(int64_t bytes, const Limits& limits) {
    if (bytes >= 0 && bytes <= limits.memory) return bytes;
    throw std::invalid_argument("needs " + std::to_string(static_cast<double>(bytes) / 1e9) + " GB of memory for its maps");
}

}  // namespace

InferenceProgram::InferenceProgram(std::shared_ptr<Weights> weights, int64_t arena, int64_t batch, int threads,
                                   bool bf16, const Limits& limits)
    : weights_(std::move(weights)),
      limits_(limits),
      taken_(static_cast<double>(arena)),
      arena_bytes_(checked_arena(arena, limits)),
      arena_(static_cast<size_t>(arena)),
      batch_(batch),
      threads_(threads),
      bf16_(bf16),
      stream_(engine()) {
    if (!weights_ || batch < 1 || threads < 1 || threads > kMostThreads) throw std::invalid_argument("no weights, images or threads");
    if (bf16 && !has_bfloat16()) {
        throw std::invalid_argument("this processor has no bfloat16 instructions (it has " + instruction_set() + ")");
    }
    parallel::prefer_threads(threads);  // oneDNN plans for as many
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

void InferenceProgram::check(const std::string& where, const View& view, bool as_float) const {
    const int64_t own = view.last ? 1 : element();
    require_inside(where, view, as_float ? 4 : own, arena_bytes_);
}

void InferenceProgram::check_blocked(const std::string& where, const View& from, const View& to) const {
    for (const View* view : {&from, &to}) {
        check(where, *view);
        require_blocked(where, *view);
    }
}

void InferenceProgram::take(const std::string& where, double bytes) {
    taken_ += bytes;
    require(taken_ <= static_cast<double>(limits_.memory), where, "needs more memory than there is");
}

void InferenceProgram::spend(const std::string& where, double operations) {
    work_ += operations;
    require(work_ <= limits_.work, where, "with the steps before it has more work than any detector");
}

// Weights for a step, of the shape that it computes with.
memory InferenceProgram::constant(const std::string& where, const std::string& name, const memory::desc& desc) {
    require(weights_->has(name, desc.get_dims()), where, "its weights are not there or have another shape");
    // Whole channel blocks in each group: a hundred times the file's numbers where groups are small.
    if (!weights_->is_packed(name, desc)) take(where, static_cast<double>(desc.get_size()));
    return weights_->packed(name, desc);
}

void InferenceProgram::step(StepInfo info, std::function<void()> action) {
    require(!finished_, info.where, "comes after the last step");
    spend(info.where, info.flops + static_cast<double>(info.bytes));
    info_.push_back(std::move(info));
    actions_.push_back(std::move(action));
}

void InferenceProgram::primitive(StepInfo info, const dnnl::primitive& primitive, Arguments arguments,
                                 const memory::desc& scratch) {
    if (scratch.get_size() > 0) {
        memory place(scratch, engine(), nullptr);  // all steps share one scratchpad: they run one after the other
        const size_t more = std::max(scratch_bytes_, scratch.get_size());
        take(info.where, static_cast<double>(more - scratch_bytes_));
        scratch_bytes_ = more;
        scratch_users_.push_back(place);
        arguments.emplace(DNNL_ARG_SCRATCHPAD, place);
    }
    step(std::move(info), [this, primitive, arguments = std::move(arguments)] {
        primitive.execute(stream_, arguments);
    });
}

void InferenceProgram::input(const View& to, bool scaled) {
    require_inside("input", to, to.last ? 1 : element(), arena_bytes_);
    require(to.plain != to.last, "input", "takes maps of plain pixels or with the channels of a pixel together");
    input_ = to;
    scaled_ = scaled;
}

void InferenceProgram::output(const View& from) {
    check("output", from, true);
    require(!from.plain, "output", "takes no plain maps");
    outputs_.push_back(from);
}

void InferenceProgram::finish() {
    require(!finished_ && input_.channels > 0 && !outputs_.empty(), "finish", "there is no input or output");
    scratch_ = std::make_unique<Buffer>(scratch_bytes_);
    for (dnnl::memory& user : scratch_users_) user.set_data_handle(scratch_->data());
    finished_ = true;
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
