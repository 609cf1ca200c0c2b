#include "program/training/stage.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "parallel/team.h"

namespace yolo::program::training {
namespace {

Format format_of(const Slice& slice) {
    return slice.wide() ? kFloat32 : kBfloat16;
}

// Lanes behind the last channel hold 0 and must stay so: sigmoid(0) is not.
bool keeps_zero(Curve curve) {
    return curve != Curve::sigmoid;
}

}  // namespace

Stage::Stage(StageSpec spec, int64_t batch, int threads, std::byte* arena, std::vector<float*> scratch,
             std::shared_ptr<net::Exchange> exchange)
    : spec_(std::move(spec)),
      batch_(batch),
      lanes_(loops().lanes),
      blocks_((spec_.source.channels + lanes_ - 1) / lanes_),
      threads_(threads),
      arena_(arena),
      format_(format_of(spec_.source)),
      scratch_(std::move(scratch)),
      exchange_(std::move(exchange)) {
    const size_t channels = static_cast<size_t>(blocks_ * lanes_);
    for (auto* vector : {&centre_, &shift_, &inverse_, &along_, &level_}) vector->assign(channels, 0.0f);
    scale_.assign(channels, normalised() ? 0.0f : 1.0f);
    partial_.assign(channels * 2 * static_cast<size_t>(threads_), 0.0);
    sums_.assign(channels, 0.0);
    products_.assign(channels, 0.0);
}

// Every piece of at most kMostPixels pixels of one channel block, in the order in which they lie in memory.
template <class Action>
void Stage::walk(const Action& action) const {
    const int64_t pixels = spec_.source.pixels(), pieces = (pixels + kMostPixels - 1) / kMostPixels;
    parallel::share(threads_, batch_ * blocks_ * pieces, [&](int thread, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const int64_t pixel = i % pieces * kMostPixels, plane = i / pieces;
            action(Piece{thread, plane / blocks_, plane % blocks_, pixel, std::min(kMostPixels, pixels - pixel)});
        }
    });
}

std::byte* Stage::at(const Slice& slice, const Piece& piece) const {
    return arena_ + slice.plane(piece.picture, piece.block, lanes_) + piece.pixel * lanes_ * slice.element;
}

Affine Stage::affine(int64_t block) const {
    const int64_t c = block * lanes_;
    return {&centre_[c], &scale_[c], &shift_[c]};
}

void Stage::clear_sums() {
    std::fill(partial_.begin(), partial_.end(), 0.0);
}

// Adds up the threads' sums, always in one order.
void Stage::total(std::vector<double>& sums, std::vector<double>& squares) const {
    const size_t channels = sums.size();
    for (size_t c = 0; c < channels; ++c) {
        sums[c] = squares[c] = 0.0;
        for (int t = 0; t < threads_; ++t) {
            sums[c] += partial_[static_cast<size_t>(t) * 2 * channels + c];
            squares[c] += partial_[(static_cast<size_t>(t) * 2 + 1) * channels + c];
        }
    }
}

// Makes the sums those over all ranks; gives the number of pixels that they are taken over.
double Stage::join_ranks() {
    const double own = static_cast<double>(batch_ * spec_.source.pixels());
    if (exchange_ == nullptr || !normalised()) return own;
    joined_.assign(sums_.begin(), sums_.end());
    joined_.insert(joined_.end(), products_.begin(), products_.end());
    exchange_->add_up(joined_.data(), joined_.size());
    std::copy_n(joined_.begin(), sums_.size(), sums_.begin());
    std::copy_n(joined_.begin() + static_cast<std::ptrdiff_t>(sums_.size()), products_.size(), products_.begin());
    return own * exchange_->ranks();
}

void Stage::measure(const Run& run) {
    const int64_t channels = blocks_ * lanes_;
    clear_sums();
    walk([&](const Piece& piece) {
        double* sums = partial_.data() + piece.thread * 2 * channels + piece.block * lanes_;
        loops().moments[format_](at(spec_.source, piece), piece.count, sums, sums + channels);
    });
    total(sums_, products_);
    const StageTensors& t = spec_.tensors;
    const double count = join_ranks();
    const double momentum = spec_.norm.momentum;
    for (int64_t c = 0; c < spec_.source.channels; ++c) {
        const double mean = sums_[c] / count, variance = std::max(0.0, products_[c] / count - mean * mean);
        const double unbiased = variance * (count / std::max(1.0, count - 1.0));
        run.values[t.mean + c] = static_cast<float>((1.0 - momentum) * run.values[t.mean + c] + momentum * mean);
        run.values[t.variance + c] =
            static_cast<float>((1.0 - momentum) * run.values[t.variance + c] + momentum * unbiased);
        centre_[c] = static_cast<float>(mean);
        inverse_[c] = static_cast<float>(1.0 / std::sqrt(variance + spec_.norm.eps));
        scale_[c] = run.values[t.weight + c] * inverse_[c];
        shift_[c] = run.values[t.bias + c];
    }
}

void Stage::activate(const std::vector<Slice>& targets, const std::optional<Slice>& residual) const {
    const int64_t tail = spec_.source.channels % lanes_;
    walk([&](const Piece& piece) {
        std::byte* first = at(targets[0], piece);
        const void* added = residual ? at(*residual, piece) : nullptr;
        loops().activate[format_](at(spec_.source, piece), affine(piece.block), spec_.activation, added, first,
                                  piece.count);
        const int64_t element = spec_.source.element;
        if (tail != 0 && piece.block == blocks_ - 1 && !keeps_zero(spec_.activation.curve)) {
            for (int64_t p = 0; p < piece.count; ++p) {
                std::memset(first + (p * lanes_ + tail) * element, 0, static_cast<size_t>((lanes_ - tail) * element));
            }
        }
        for (size_t k = 1; k < targets.size(); ++k) {
            std::memcpy(at(targets[k], piece), first, static_cast<size_t>(piece.count * lanes_ * element));
        }
    });
}

Step Stage::forward() {
    const int64_t map = batch_ * blocks_ * lanes_ * spec_.source.pixels() * spec_.source.element;
    StepInfo info{spec_.where, normalised() ? "norm" : "pointwise", loops().name};
    info.bytes = map * (1 + normalised() + static_cast<int64_t>(spec_.targets.size()) + spec_.residual.has_value());
    return {info, [this](const Run& run) {
                if (normalised()) {
                    measure(run);
                } else if (spec_.tensors.bias >= 0) {
                    std::copy_n(run.values + spec_.tensors.bias, spec_.source.channels, shift_.begin());
                }
                activate(spec_.targets, spec_.residual);
            }};
}

Step Stage::again(std::vector<Slice> targets, std::optional<Slice> residual) const {
    const int64_t map = batch_ * blocks_ * lanes_ * spec_.source.pixels() * spec_.source.element;
    StepInfo info{spec_.where, "again", loops().name};
    info.bytes = map * (1 + static_cast<int64_t>(targets.size()) + residual.has_value());
    return {info, [this, targets = std::move(targets), residual](const Run&) { activate(targets, residual); }};
}

// The sum of the gradients of a piece: where it lies, or in the thread's own scratch.
Stage::Gradient Stage::gradient_at(const std::vector<Slice>& gradients, const Piece& piece) const {
    if (gradients.size() == 1) return {at(gradients[0], piece), format_};
    const void* sources[kMostSources];
    float* sum = scratch_[static_cast<size_t>(piece.thread)];
    for (size_t k = 0; k < gradients.size(); ++k) sources[k] = at(gradients[k], piece);
    loops().add[format_](sources, static_cast<int64_t>(gradients.size()), sum, piece.count);
    return {sum, kFloat32};
}

void Stage::sum_slopes(const std::vector<Slice>& gradients, const std::optional<Slice>& sum) {
    const int64_t channels = blocks_ * lanes_;
    clear_sums();
    walk([&](const Piece& piece) {
        const Gradient gradient = gradient_at(gradients, piece);
        if (sum) loops().store[format_](static_cast<const float*>(gradient.at), at(*sum, piece), piece.count);
        double* sums = partial_.data() + piece.thread * 2 * channels + piece.block * lanes_;
        loops().slope_sums[format_][gradient.format](at(spec_.source, piece), gradient.at, affine(piece.block),
                                                     spec_.activation, piece.count, sums, sums + channels);
    });
    total(sums_, products_);
}

// With s the slopes, x^ = (x - mean) * inverse: d weight = sum(s x^), d bias = sum(s) and
// dx = scale * (s - mean(s) - x^ * mean(s x^)). The parameters' gradients are this rank's summands, the means all ranks'.
void Stage::finish_slopes(const Run& run) {
    const StageTensors& t = spec_.tensors;
    for (int64_t c = 0; c < spec_.source.channels; ++c) {
        run.gradient[t.bias + c] += static_cast<float>(sums_[c]);
        if (normalised()) run.gradient[t.weight + c] += static_cast<float>(products_[c] * inverse_[c]);
    }
    if (!normalised()) return;
    const double count = join_ranks();
    for (int64_t c = 0; c < spec_.source.channels; ++c) {
        along_[c] = static_cast<float>(-scale_[c] * inverse_[c] * products_[c] * inverse_[c] / count);
        level_[c] = static_cast<float>(-scale_[c] * sums_[c] / count);
    }
}

void Stage::write_slopes(const std::vector<Slice>& gradients, const Slice& to) const {
    walk([&](const Piece& piece) {
        const int64_t c = piece.block * lanes_;
        const Gradient gradient = gradient_at(gradients, piece);
        loops().slope[format_][gradient.format](at(spec_.source, piece), gradient.at, affine(piece.block),
                                                spec_.activation, &along_[c], &level_[c], at(to, piece), piece.count);
    });
}

Step Stage::backward(std::vector<Slice> gradients, std::optional<Slice> source_gradient, std::optional<Slice> sum) {
    if (gradients.empty() || static_cast<int64_t>(gradients.size()) > kMostSources || (sum && gradients.size() == 1)) {
        throw std::invalid_argument(spec_.where + ": a sum of " + std::to_string(gradients.size()) + " gradients");
    }
    const int64_t map = batch_ * blocks_ * lanes_ * spec_.source.pixels() * spec_.source.element;
    const bool sums = spec_.tensors.bias >= 0;
    const auto number = static_cast<int64_t>(gradients.size());
    StepInfo info{spec_.where, normalised() ? "norm_back" : "pointwise_back", loops().name};
    info.bytes = map * (sums * (1 + number) + sum.has_value() + source_gradient.has_value() * 2 +
                        (sum ? 1 : number));
    const std::vector<Slice> second = sum ? std::vector<Slice>{*sum} : gradients;
    return {info, [=](const Run& run) {
                if (sums) {
                    sum_slopes(gradients, sum);
                    finish_slopes(run);
                }
                if (source_gradient) write_slopes(second, *source_gradient);
            }};
}

Step accumulate(const std::string& where, std::vector<Slice> sources, const Slice& target, int64_t batch, int threads,
                std::byte* arena, std::vector<float*> scratch) {
    const int64_t lanes = loops().lanes, blocks = (target.channels + lanes - 1) / lanes, pixels = target.pixels();
    const int64_t pieces = (pixels + kMostPixels - 1) / kMostPixels;
    StepInfo info{where, "accumulate", loops().name};
    info.bytes = batch * blocks * lanes * pixels * target.element * static_cast<int64_t>(sources.size() + 1);
    return {info, [=](const Run&) {
                parallel::share(threads, batch * blocks * pieces, [&](int thread, int64_t begin, int64_t end) {
                    const void* from[kMostSources];
                    for (int64_t i = begin; i < end; ++i) {
                        const int64_t pixel = i % pieces * kMostPixels, n = i / pieces / blocks, b = i / pieces % blocks;
                        const int64_t count = std::min(kMostPixels, pixels - pixel);
                        auto at = [&](const Slice& s) { return arena + s.plane(n, b, lanes) + pixel * lanes * s.element; };
                        for (size_t k = 0; k < sources.size(); ++k) from[k] = at(sources[k]);
                        float* sum = scratch[static_cast<size_t>(thread)];
                        loops().add[format_of(target)](from, static_cast<int64_t>(sources.size()), sum, count);
                        loops().store[format_of(target)](sum, at(target), count);
                    }
                });
            }};
}

}  // namespace yolo::program::training
