// What happens to numbers one by one: batch norm, activation, a residual sum; and its gradient.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "parallel/team.h"
#include "program/common/kinds.h"
#include "program/cpu/activation.h"
#include "program/cpu/builders.h"
#include "program/cpu/pieces.h"

namespace yolo::program {
namespace {

// Lanes behind the last channel hold 0 and must stay so: sigmoid(0) is not.
bool keeps_zero(Function function) {
    return function != Function::sigmoid;
}

// The sum of views: where it lies, or in a thread's own scratch where there are several or it is to be of floats.
class Sum {
public:
    Sum(BuildContext& context, Views views, bool floats = false)
        : exec_(context),
          views_(std::move(views)),
          direct_(views_.size() == 1 && (views_[0].wide() || !floats)),
          room_(kMostPixels * exec_.block),
          scratch_(Workspace::Frame(context.workspace).floats(direct_ ? 0 : exec_.threads * room_)) {}

    struct Found {
        const void* at;
        Format format;
    };
    Found operator()(const Piece& piece) const {
        if (direct_) return {at(exec_, views_[0], piece), format_of(views_[0])};
        const void* sources[kMostSources];
        for (size_t k = 0; k < views_.size(); ++k) sources[k] = at(exec_, views_[k], piece);
        float* sum = static_cast<float*>(scratch_.get_data_handle()) + piece.thread * room_;
        kernels().add[format_of(views_[0])](sources, number(), sum, piece.count);
        return {sum, kFloat32};
    }
    int64_t number() const { return static_cast<int64_t>(views_.size()); }

private:
    ExecContext exec_;
    Views views_;
    bool direct_;
    int64_t room_;
    dnnl::memory scratch_;
};

// target = f((x - mean) / sqrt(var + eps) * weight + bias) + residual; without `weight`, f(x + bias) + residual;
// with `constants`, inference's of this name, f(x * scale + shift) + residual.
// Keeps what its gradient needs: the batch's mean and deviation. Batch norm in training (Ioffe and Szegedy 2015):
// running statistics move by `momentum` towards the batch's, the variance unbiased; over all ranks' batches, each as
// large as this one's, where there is an exchange.
class NormActAdd {
public:
    NormActAdd(BuildContext& context, const Step& step)
        : exec_(context),
          exchange_(context.exchange),
          source_(step.view("source")),
          activation_(activation_of(step)),
          weight_(offset(step, "weight")),
          bias_(offset(step, "bias")),
          mean_(offset(step, "mean")),
          variance_(offset(step, "variance")),
          eps_(step.has("eps") ? static_cast<float>(step.real("eps")) : 0.0f),
          momentum_(step.has("momentum") ? static_cast<float>(step.real("momentum")) : 0.0f) {
        const auto channels = static_cast<size_t>(exec_.blocks(source_) * exec_.block);
        context.budget.take(step.where, static_cast<double>(channels) * (16.0 * exec_.threads + 56.0));
        for (auto* vector : {&centre_, &shift_, &inverse_, &along_, &level_}) vector->assign(channels, 0.0f);
        scale_.assign(channels, normalised() ? 0.0f : 1.0f);
        if (step.has("constants")) {
            for (const char* part : {".scale", ".shift"}) {
                const std::string name = step.text("constants") + part;
                constants_.push_back(context.constant(step.where, name, floats_desc(source_.channels)));
            }
        }
        if (!learns()) return;
        if (normalised() && context.moments && context.moments->of(source_, context.step)) {
            taken_ = context.moments;
            taken_->wanted = true;
        }
        partial_.assign(channels * 2 * static_cast<size_t>(exec_.threads), 0.0);
        sums_.assign(channels, 0.0);
        products_.assign(channels, 0.0);
    }

    bool normalised() const { return weight_ >= 0; }
    bool learns() const { return bias_ >= 0; }
    // Whether the source is read for its mean and deviation.
    bool reads_twice() const { return normalised() && !taken_; }
    int64_t map_bytes() const {
        return exec_.batch * exec_.blocks(source_) * exec_.block * source_.pixels() * source_.element;
    }

    void forward(const Run& run, const Views& targets, const Views& residual) {
        if (normalised()) {
            measure(run.values);
        } else if (learns()) {
            std::copy_n(run.values + bias_, source_.channels, shift_.begin());
        } else if (constants_.size() == 2) {
            std::copy_n(static_cast<const float*>(constants_[0].get_data_handle()), source_.channels, scale_.begin());
            std::copy_n(static_cast<const float*>(constants_[1].get_data_handle()), source_.channels, shift_.begin());
        }
        activate(targets, residual);
    }
    void activate(const Views& targets, const Views& residual) const;  // one, or none
    void add_parameter_gradients(const Run& run, const Sum& gradient, const Views& sum);
    void write_source_gradient(const Sum& gradient, const TensorView& to) const;

private:
    static int64_t offset(const Step& step, const char* name) { return step.has(name) ? step.number(name) : -1; }
    Affine affine(int64_t block) const {
        const int64_t c = block * exec_.block;
        return {&centre_[c], &scale_[c], &shift_[c]};
    }
    double* thread_sums(const Piece& piece) {
        return partial_.data() + piece.thread * 2 * static_cast<int64_t>(sums_.size()) + piece.block * exec_.block;
    }
    void measure(float* values);
    void sum_source();
    void total();
    double join_ranks();

    ExecContext exec_;
    std::shared_ptr<net::Exchange> exchange_;
    TensorView source_;
    Activation activation_;
    int64_t weight_, bias_, mean_, variance_;  // offsets in the values, -1 where there is none
    float eps_, momentum_;
    std::shared_ptr<Moments> taken_;
    std::vector<dnnl::memory> constants_;      // scale and shift, which may be replaced between runs
    std::vector<float> centre_, scale_, shift_, inverse_, along_, level_;
    std::vector<double> partial_, sums_, products_, joined_;  // a thread's sums and products lie together in `partial_`
};

// Adds up the threads' sums, always in one order.
void NormActAdd::total() {
    const size_t channels = sums_.size();
    for (size_t c = 0; c < channels; ++c) {
        sums_[c] = products_[c] = 0.0;
        for (int t = 0; t < exec_.threads; ++t) {
            sums_[c] += partial_[static_cast<size_t>(t) * 2 * channels + c];
            products_[c] += partial_[(static_cast<size_t>(t) * 2 + 1) * channels + c];
        }
    }
}

// Makes the sums those over all ranks; gives the number of pixels that they are taken over.
double NormActAdd::join_ranks() {
    const double own = static_cast<double>(exec_.batch * source_.pixels());
    if (exchange_ == nullptr || !normalised()) return own;
    joined_.assign(sums_.begin(), sums_.end());
    joined_.insert(joined_.end(), products_.begin(), products_.end());
    exchange_->add_up(joined_.data(), joined_.size());
    std::copy_n(joined_.begin(), sums_.size(), sums_.begin());
    std::copy_n(joined_.begin() + static_cast<std::ptrdiff_t>(sums_.size()), products_.size(), products_.begin());
    return own * exchange_->ranks();
}

// The threads' sums of the source and of its squares: the convolution's before it, if that has taken them.
void NormActAdd::sum_source() {
    const size_t channels = sums_.size();
    if (taken_) {
        for (int64_t part = 0; part < 2 * exec_.threads; ++part) {
            const double* const from = taken_->at(0, source_.first - taken_->view.first) + part * taken_->channels;
            std::copy_n(from, channels, partial_.begin() + part * static_cast<int64_t>(channels));
        }
        return;
    }
    std::fill(partial_.begin(), partial_.end(), 0.0);
    each_piece(exec_, source_, [&](const Piece& piece) {
        double* sums = thread_sums(piece);
        kernels().moments[format_of(source_)](at(exec_, source_, piece), piece.count, sums, sums + channels);
    });
}

void NormActAdd::measure(float* values) {
    sum_source();
    total();
    const double count = join_ranks(), momentum = momentum_;
    for (int64_t c = 0; c < source_.channels; ++c) {
        const double mean = sums_[c] / count, variance = std::max(0.0, products_[c] / count - mean * mean);
        const double unbiased = variance * (count / std::max(1.0, count - 1.0));
        float &running_mean = values[mean_ + c], &running_variance = values[variance_ + c];
        running_mean = static_cast<float>((1.0 - momentum) * running_mean + momentum * mean);
        running_variance = static_cast<float>((1.0 - momentum) * running_variance + momentum * unbiased);
        centre_[c] = static_cast<float>(mean);
        inverse_[c] = static_cast<float>(1.0 / std::sqrt(variance + eps_));
        scale_[c] = values[weight_ + c] * inverse_[c];
        shift_[c] = values[bias_ + c];
    }
}

void NormActAdd::activate(const Views& targets, const Views& residual) const {
    const int64_t lanes = exec_.block, tail = source_.channels % lanes, last = exec_.blocks(source_) - 1;
    const int64_t element = source_.element;
    each_piece(exec_, source_, [&](const Piece& piece) {
        std::byte* first = at(exec_, targets[0], piece);
        const void* added = residual.empty() ? nullptr : at(exec_, residual[0], piece);
        kernels().activate[format_of(source_)](at(exec_, source_, piece), affine(piece.block), activation_, added,
                                               first, piece.count);
        if (tail != 0 && piece.block == last && !keeps_zero(activation_.function)) {
            for (int64_t p = 0; p < piece.count; ++p) {
                std::memset(first + (p * lanes + tail) * element, 0, static_cast<size_t>((lanes - tail) * element));
            }
        }
        for (size_t k = 1; k < targets.size(); ++k) {
            std::memcpy(at(exec_, targets[k], piece), first, static_cast<size_t>(piece.count * lanes * element));
        }
    });
}

// With g the gradient before the activation, x^ = (x - mean) * inverse: d weight = sum(g x^), d bias = sum(g) and
// dx = scale * (g - mean(g) - x^ * mean(g x^)). The parameters' gradients are this rank's summands, the means all
// ranks'.
void NormActAdd::add_parameter_gradients(const Run& run, const Sum& gradient, const Views& sum) {
    std::fill(partial_.begin(), partial_.end(), 0.0);
    each_piece(exec_, source_, [&](const Piece& piece) {
        const auto found = gradient(piece);
        const Format format = format_of(source_);
        const auto* from = static_cast<const float*>(found.at);
        if (!sum.empty()) kernels().store[format](from, at(exec_, sum[0], piece), piece.count);
        double* sums = thread_sums(piece);
        kernels().grad_sums[format][found.format](at(exec_, source_, piece), found.at, affine(piece.block), activation_,
                                                  piece.count, sums, sums + sums_.size());
    });
    total();
    for (int64_t c = 0; c < source_.channels; ++c) {
        run.gradient[bias_ + c] += static_cast<float>(sums_[c]);
        if (normalised()) run.gradient[weight_ + c] += static_cast<float>(products_[c] * inverse_[c]);
    }
    if (!normalised()) return;
    const double count = join_ranks();
    for (int64_t c = 0; c < source_.channels; ++c) {
        along_[c] = static_cast<float>(-scale_[c] * inverse_[c] * products_[c] * inverse_[c] / count);
        level_[c] = static_cast<float>(-scale_[c] * sums_[c] / count);
    }
}

void NormActAdd::write_source_gradient(const Sum& gradient, const TensorView& to) const {
    each_piece(exec_, source_, [&](const Piece& piece) {
        const int64_t c = piece.block * exec_.block;
        const auto found = gradient(piece);
        kernels().grad[format_of(source_)][found.format](at(exec_, source_, piece), found.at, affine(piece.block),
                                                         activation_, &along_[c], &level_[c], at(exec_, to, piece),
                                                         piece.count);
    });
}

}  // namespace

std::vector<CompiledStep> build_norm_act_add(BuildContext& context, const Step& step) {
    const auto state = std::make_shared<NormActAdd>(context, step);
    context.keep(state);
    const bool normalised = state->normalised();
    StepInfo info{normalised ? "norm" : "pointwise", step.where, kernels().name};
    const Views &targets = step.all("targets"), &residual = step.any("residual");
    info.bytes = state->map_bytes() * static_cast<int64_t>(1 + state->reads_twice() + targets.size() + residual.size());
    return {{info, [=](const Run& run) { state->forward(run, targets, residual); }}};
}

// The targets once more, elsewhere, after the forward step: from the same source, with the same mean and deviation.
std::vector<CompiledStep> build_norm_act_add_recompute(BuildContext& context, const Step& step) {
    const auto state = context.state<NormActAdd>(step);
    const Views &targets = step.all("targets"), &residual = step.any("residual");
    StepInfo info{"recompute", step.where, kernels().name};
    info.bytes = state->map_bytes() * static_cast<int64_t>(1 + targets.size() + residual.size());
    return {{info, [=](const Run&) { state->activate(targets, residual); }}};
}

// The target's gradient is the sum of `gradients`, written to `sum` where given; the source's goes to
// `source_gradient`, which may be the source itself. Gradients of weight and bias are added to the vector.
std::vector<CompiledStep> build_norm_act_add_backward(BuildContext& context, const Step& step) {
    const auto state = context.state<NormActAdd>(step);
    const Views &to = step.any("source_gradient"), &sum = step.any("sum");
    const Sum first(context, step.all("gradients")), second = sum.empty() ? first : Sum(context, sum);
    const bool learns = state->learns();
    StepInfo info{state->normalised() ? "norm_back" : "pointwise_back", step.where, kernels().name};
    const auto written = static_cast<int64_t>(sum.size() + 2 * to.size());
    info.bytes = state->map_bytes() * (learns * (1 + first.number()) + written + second.number());
    return {{info, [=](const Run& run) {
                 if (learns) state->add_parameter_gradients(run, first, sum);
                 if (!to.empty()) state->write_source_gradient(second, to[0]);
             }}};
}

// Adds views up into one: a gradient that several readers gave, for those that take one dense map.
std::vector<CompiledStep> build_accumulate(BuildContext& context, const Step& step) {
    const ExecContext exec = context;
    const TensorView target = step.view("target");
    const Sum sum(context, step.all("sources"), true);
    StepInfo info{"accumulate", step.where, kernels().name};
    info.bytes = exec.batch * exec.blocks(target) * exec.block * target.pixels() * target.element * (sum.number() + 1);
    return {{info, [=](const Run&) {
                 each_piece(exec, target, [&](const Piece& piece) {
                     const auto* from = static_cast<const float*>(sum(piece).at);
                     kernels().store[format_of(target)](from, at(exec, target, piece), piece.count);
                 });
             }}};
}

}  // namespace yolo::program
