// Convolutions by plain loops, float sums: the reference that plans are checked with where there is no GPU.
#include "cuda/convolution.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "parallel/team.h"

namespace yolo::cuda {
namespace {

std::vector<float> floats(const void* data, Number number, int64_t pixels, int64_t channels, int64_t pitch) {
    std::vector<float> found(static_cast<size_t>(pixels * channels));
    with_type(number, [&](auto type) {
        const auto* from = static_cast<const decltype(type)*>(data);
        for (int64_t pixel = 0; pixel < pixels; ++pixel) {
            for (int64_t c = 0; c < channels; ++c) {
                found[static_cast<size_t>(pixel * channels + c)] = to_float(from[pixel * pitch + c]);
            }
        }
    });
    return found;
}

void write(const std::vector<float>& sums, void* data, Number number, int64_t pixels, int64_t channels, int64_t pitch) {
    with_type(number, [&](auto type) {
        auto* to = static_cast<decltype(type)*>(data);
        for (int64_t pixel = 0; pixel < pixels; ++pixel) {
            for (int64_t c = 0; c < channels; ++c) {
                to[pixel * pitch + c] = rounded<decltype(type)>(sums[static_cast<size_t>(pixel * channels + c)]);
            }
        }
    });
}

int64_t pixels(const ConvProblem& problem, const ConvMap& map) {
    return problem.images * map.height * map.width;
}

// Calls action(target pixel, source pixel, tap) for every tap of the kernel that lies inside of the source, for the
// target's pixels from `first` to `last`.
template <class Action>
void each_tap(const ConvProblem& p, int64_t first, int64_t last, const Action& action) {
    for (int64_t target = first; target < last; ++target) {
        const int64_t x = target % p.target.width, y = target / p.target.width % p.target.height;
        const int64_t image = target / (p.target.width * p.target.height);
        for (int64_t ky = 0; ky < p.kernel[0]; ++ky) {
            const int64_t row = y * p.stride[0] - p.padding[0] + ky * p.dilation[0];
            for (int64_t kx = 0; kx < p.kernel[1]; ++kx) {
                const int64_t column = x * p.stride[1] - p.padding[1] + kx * p.dilation[1];
                if (row < 0 || row >= p.source.height || column < 0 || column >= p.source.width) continue;
                action(target, (image * p.source.height + row) * p.source.width + column, ky * p.kernel[1] + kx);
            }
        }
    }
}

}  // namespace

struct Convolution::Made {
    ConvProblem problem;
    ConvPass pass;

    int64_t taps() const { return problem.kernel[0] * problem.kernel[1]; }
    int64_t inner() const { return problem.source.channels / problem.groups; }  // source channels of a group
    int64_t outer() const { return problem.target.channels / problem.groups; }
    size_t weight(int64_t target_channel, int64_t tap) const {
        return static_cast<size_t>((target_channel * taps() + tap) * inner());
    }

    void forward(const ConvOperands& at) const;
    void source_gradient(const ConvOperands& at) const;
    void weight_gradient(const ConvOperands& at) const;
};

void Convolution::Made::forward(const ConvOperands& at) const {
    const ConvMap &from = problem.source, &to = problem.target;
    const auto source = floats(at.source, problem.number, pixels(problem, from), from.channels, from.pitch);
    const auto weights = floats(at.weights, problem.number, to.channels * taps(), inner(), inner());
    std::vector<float> target(static_cast<size_t>(pixels(problem, to) * to.channels));
    parallel::deal(pixels(problem, to), 1, [&](int64_t first, int64_t last) {
        each_tap(problem, first, last, [&](int64_t t, int64_t s, int64_t tap) {
            for (int64_t k = 0; k < to.channels; ++k) {
                const float* const w = &weights[weight(k, tap)];
                const float* const x = &source[static_cast<size_t>(s * from.channels + k / outer() * inner())];
                float sum = 0.0f;
                for (int64_t c = 0; c < inner(); ++c) sum += w[c] * x[c];
                target[static_cast<size_t>(t * to.channels + k)] += sum;
            }
        });
    });
    write(target, at.target, problem.number, pixels(problem, to), to.channels, to.pitch);
}

void Convolution::Made::source_gradient(const ConvOperands& at) const {
    const ConvMap &to = problem.source, &from = problem.target;
    const auto target = floats(at.target, problem.number, pixels(problem, from), from.channels, from.pitch);
    const auto weights = floats(at.weights, problem.number, from.channels * taps(), inner(), inner());
    std::vector<float> source(static_cast<size_t>(pixels(problem, to) * to.channels));
    const int64_t image = from.height * from.width;
    parallel::deal(problem.images, 1, [&](int64_t first, int64_t last) {
        each_tap(problem, first * image, last * image, [&](int64_t t, int64_t s, int64_t tap) {
            for (int64_t k = 0; k < from.channels; ++k) {
                const float* const w = &weights[weight(k, tap)];
                float* const x = &source[static_cast<size_t>(s * to.channels + k / outer() * inner())];
                const float y = target[static_cast<size_t>(t * from.channels + k)];
                for (int64_t c = 0; c < inner(); ++c) x[c] += w[c] * y;
            }
        });
    });
    write(source, at.source, problem.number, pixels(problem, to), to.channels, to.pitch);
}

void Convolution::Made::weight_gradient(const ConvOperands& at) const {
    const ConvMap &a = problem.source, &b = problem.target;
    const auto source = floats(at.source, problem.number, pixels(problem, a), a.channels, a.pitch);
    const auto target = floats(at.target, problem.number, pixels(problem, b), b.channels, b.pitch);
    auto* const weights = static_cast<float*>(at.weights);
    std::fill_n(weights, problem.weights(), 0.0f);
    parallel::deal(b.channels, 1, [&](int64_t first, int64_t last) {
        each_tap(problem, 0, pixels(problem, b), [&](int64_t t, int64_t s, int64_t tap) {
            for (int64_t k = first; k < last; ++k) {
                float* const w = weights + weight(k, tap);
                const float* const x = &source[static_cast<size_t>(s * a.channels + k / outer() * inner())];
                const float y = target[static_cast<size_t>(t * b.channels + k)];
                for (int64_t c = 0; c < inner(); ++c) w[c] += x[c] * y;
            }
        });
    });
}

void configure(const ConvSettings&) {}

std::string convolutions_unavailable() {
    return "";
}

Convolution::Convolution(const ConvProblem& problem, ConvPass pass, const Epilogue&) : made_(new Made{problem, pass}) {}
Convolution::~Convolution() = default;
Convolution::Convolution(Convolution&&) noexcept = default;
Convolution& Convolution::operator=(Convolution&&) noexcept = default;

bool Convolution::fuses() const {
    return false;
}

size_t Convolution::workspace_bytes() const {
    return 0;
}

std::string Convolution::implementation() const {
    return "loops";
}

void Convolution::run(const ConvOperands& operands, void*, Stream) const {
    switch (made_->pass) {
        case ConvPass::forward: return made_->forward(operands);
        case ConvPass::source_gradient: return made_->source_gradient(operands);
        case ConvPass::weight_gradient: return made_->weight_gradient(operands);
    }
}

}  // namespace yolo::cuda
