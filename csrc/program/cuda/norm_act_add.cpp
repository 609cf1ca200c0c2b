// What happens to numbers one by one: batch norm, activation, a residual sum; and its gradient.
#include <stdexcept>
#include <utility>

#include "program/cuda/builders.h"
#include "program/cuda/norm.h"

namespace yolo::program::cuda {
namespace {

// A number a lane on the device: inference's constant `name`, zeros behind the last channel.
std::shared_ptr<DeviceBuffer> constant(const BuildContext& context, const Step& step, const std::string& name,
                                       const Map& map) {
    if (context.constants == nullptr || !context.constants->has(name, {map.channels})) {
        throw std::invalid_argument(step.where + ": no constant " + name + " of its shape");
    }
    return context.constants->on_device(name, Number::float32, Order::channels(map.channels, map.lanes()));
}

// target = f((x - mean) / sqrt(var + eps) * weight + bias) + residual; without `weight`, f(x + bias) + residual; with
// `constants`, inference's of this name, f(x * scale + shift) + residual. Keeps what its gradient needs: the batch's
// mean and deviation, which are those of all ranks' batches where there is a group.
class NormActAdd {
public:
    NormActAdd(BuildContext& context, const Step& step)
        : source_(context.map(step.view("source"))), group_(context.group),
          activation_(activation_of(step.text("activation"), step.real("value"))), weight_(offset(step, "weight")),
          bias_(offset(step, "bias")), mean_(offset(step, "mean")), variance_(offset(step, "variance")) {
        if (step.has("eps")) eps_ = static_cast<float>(step.real("eps"));
        if (step.has("momentum")) momentum_ = static_cast<float>(step.real("momentum"));
        if (step.has("constants")) {
            scale_ = constant(context, step, step.text("constants") + ".scale", source_);
            shift_ = constant(context, step, step.text("constants") + ".shift", source_);
        }
        if (normalised()) keep_batch(context, step);
    }

    bool normalised() const { return weight_ >= 0; }
    bool learns() const { return bias_ >= 0; }
    const Map& source() const { return source_; }
    int64_t map_bytes() const {
        return source_.pixels() * source_.lanes() * static_cast<int64_t>(yolo::cuda::bytes_of(source_.number));
    }

    // Of the sums that ranks exchange: float64, two a channel.
    size_t sums_bytes() const {
        return group_ && normalised() ? static_cast<size_t>(2 * source_.channels) * sizeof(double) : 0;
    }
    void normalise(const Run& run, float* scratch, double* sums) const {
        float* const v = run.values;
        const NormValues values{v + weight_, v + bias_, v + mean_, v + variance_, eps_, momentum_};
        if (!group_) return measure(source_, values, batch_, scratch, run.stream);
        sum_moments(source_, sums, scratch, run.stream);
        group_->sum(sums, 2 * source_.channels, run.stream);
        settle_moments(source_, group_->ranks(), sums, values, batch_, run.stream);
    }
    void activate(const Run& run, const std::vector<Map>& targets, const Map* residual) const {
        cuda::activate(source_, affine(run), activation_, residual, targets, run.stream);
    }
    // The parameters' gradients are this rank's summands, the means in the source's all ranks'.
    void add_parameter_gradients(const Run& run, const std::vector<Map>& gradients, const Map* sum, float* scratch,
                                 double* sums) const {
        ParameterGradients to{run.gradient + bias_};
        const bool joins = group_ && normalised();
        if (normalised()) to.weight = run.gradient + weight_, to.state = &batch_;
        if (joins) to.sums = sums;
        cuda::add_parameter_gradients(source_, gradients, sum, affine(run), activation_, to, scratch, run.stream);
        if (!joins) return;
        group_->sum(sums, 2 * source_.channels, run.stream);
        settle_gradients(source_, group_->ranks(), sums, batch_, run.stream);
    }
    void write_source_gradient(const Run& run, const std::vector<Map>& gradients, const Map& target) const {
        cuda::write_source_gradient(source_, gradients, affine(run), activation_, normalised() ? &batch_ : nullptr,
                                    target, run.stream);
    }

private:
    static int64_t offset(const Step& step, const char* name) { return step.has(name) ? step.number(name) : -1; }
    void keep_batch(BuildContext& context, const Step& step) {
        const int64_t lanes = source_.lanes();
        memory_ = std::make_shared<DeviceBuffer>(static_cast<size_t>(6 * lanes) * sizeof(float));
        context.budget.take(step.where, static_cast<double>(memory_->bytes()));
        float* const at = reinterpret_cast<float*>(memory_->data());
        batch_ = {at, at + lanes, at + 2 * lanes, at + 3 * lanes, at + 4 * lanes, at + 5 * lanes};
    }
    Affine affine(const Run& run) const {
        if (normalised()) return batch_.affine();
        if (learns()) return {nullptr, nullptr, run.values + bias_};
        if (scale_ == nullptr) return {};
        const auto floats = [](const DeviceBuffer& buffer) { return reinterpret_cast<const float*>(buffer.data()); };
        return {nullptr, floats(*scale_), floats(*shift_)};
    }

    Map source_;
    std::shared_ptr<Group> group_;  // may be null
    Activation activation_;
    int64_t weight_, bias_, mean_, variance_;  // offsets in the values, -1 where there is none
    float eps_ = 0.0f, momentum_ = 0.0f;
    std::shared_ptr<DeviceBuffer> scale_, shift_, memory_;  // of `constants`; of batch_
    BatchState batch_{};
};

// One of a role's maps, or none.
std::shared_ptr<const Map> optional(const BuildContext& context, const Step& step, const char* role) {
    const TensorView* view = step.optional(role);
    return view == nullptr ? nullptr : std::make_shared<const Map>(context.map(*view));
}

}  // namespace

std::vector<CompiledStep> build_norm_act_add(BuildContext& context, const Step& step) {
    const auto state = std::make_shared<NormActAdd>(context, step);
    context.keep(state);
    const bool normalised = state->normalised();
    const std::vector<Map> targets = context.maps(step.all("targets"));
    const auto residual = optional(context, step, "residual");
    Workspace::Frame frame(context.workspace);
    const auto scratch = frame.take(normalised ? measure_scratch_bytes(state->source()) : 0);
    const auto sums = frame.take(state->sums_bytes());
    StepInfo info{normalised ? "norm" : "pointwise", step.where, "kernel"};
    info.bytes = state->map_bytes() * static_cast<int64_t>(1 + normalised + targets.size() + (residual ? 1 : 0));
    return {{info, [=](const Run& run) {
                 if (normalised) state->normalise(run, scratch.as<float>(), sums.as<double>());
                 state->activate(run, targets, residual.get());
             }}};
}

// The targets once more, elsewhere, after the forward step: from the same source, with the same mean and deviation.
std::vector<CompiledStep> build_norm_act_add_recompute(BuildContext& context, const Step& step) {
    const auto state = context.state<NormActAdd>(step);
    const std::vector<Map> targets = context.maps(step.all("targets"));
    const auto residual = optional(context, step, "residual");
    StepInfo info{"recompute", step.where, "kernel"};
    info.bytes = state->map_bytes() * static_cast<int64_t>(1 + targets.size() + (residual ? 1 : 0));
    return {{info, [=](const Run& run) { state->activate(run, targets, residual.get()); }}};
}

// The target's gradient is the sum of `gradients`, written to `sum` where given; the source's goes to
// `source_gradient`, which may be the source itself. Gradients of weight and bias are added to the vector.
std::vector<CompiledStep> build_norm_act_add_backward(BuildContext& context, const Step& step) {
    const auto state = context.state<NormActAdd>(step);
    const auto to = optional(context, step, "source_gradient"), sum = optional(context, step, "sum");
    const std::vector<Map> first = context.maps(step.all("gradients"));
    const std::vector<Map> second = sum == nullptr ? first : std::vector<Map>{*sum};
    const bool learns = state->learns();
    Workspace::Frame frame(context.workspace);
    const auto scratch = frame.take(learns ? gradient_scratch_bytes(state->source()) : 0);
    const auto sums = frame.take(state->sums_bytes());
    StepInfo info{state->normalised() ? "norm_back" : "pointwise_back", step.where, "kernel"};
    const size_t read = learns ? 1 + first.size() : 0, written = (sum ? 1 : 0) + (to ? 2 + second.size() : 0);
    info.bytes = state->map_bytes() * static_cast<int64_t>(read + written);
    return {{info, [=](const Run& run) {
                 if (learns) {
                     state->add_parameter_gradients(run, first, sum.get(), scratch.as<float>(), sums.as<double>());
                 }
                 if (to != nullptr) state->write_source_gradient(run, second, *to);
             }}};
}

}  // namespace yolo::program::cuda
