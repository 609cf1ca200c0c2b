// What happens to numbers one by one: batch norm, activation, a residual sum; and its gradient.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/exchange.h"
#include "program/kernels/kernels.h"
#include "program/training/slice.h"
#include "program/training/step.h"

namespace yolo::program::training {

// Offsets in the vector of values, -1 where there is none. With `weight` it is a batch norm.
struct StageTensors {
    int64_t weight = -1, bias = -1, mean = -1, variance = -1;
};

// Batch norm in training (Ioffe and Szegedy 2015): variance + eps under the root; running statistics move by
// `momentum` towards the batch's, the variance unbiased.
struct BatchNorm {
    float eps;
    float momentum;
};

struct StageSpec {
    std::string where;
    Slice source;
    std::vector<Slice> targets;     // all are written
    std::optional<Slice> residual;  // added after the activation
    Nonlinearity activation;
    StageTensors tensors;
    BatchNorm norm;
};

// target = f((x - mean) / sqrt(var + eps) * weight + bias) + residual; without `weight`, f(x + bias) + residual.
// Keeps what its gradient needs: the batch's mean and deviation.
class Stage {
public:
    // `scratch`: for each thread kMostPixels * lanes floats. `exchange`: for a batch norm of all ranks' batches, each as
    // large as this one's; null for the own batch alone.
    Stage(StageSpec spec, int64_t batch, int threads, std::byte* arena, std::vector<float*> scratch,
          std::shared_ptr<net::Exchange> exchange);

    Step forward();
    // The target once more, elsewhere, after forward(): from the same source and with the same mean and deviation.
    Step again(std::vector<Slice> targets, std::optional<Slice> residual) const;
    // The target's gradient is the sum of `gradients`, written to `sum` where given; the source's goes to
    // `source_gradient`, which may be the source itself. Gradients of weight and bias are added to the vector.
    Step backward(std::vector<Slice> gradients, std::optional<Slice> source_gradient, std::optional<Slice> sum);

private:
    struct Piece {
        int thread;
        int64_t picture, block, pixel, count;
    };
    bool normalised() const { return spec_.tensors.weight >= 0; }
    template <class Action>
    void walk(const Action& action) const;
    std::byte* at(const Slice& slice, const Piece& piece) const;
    Affine affine(int64_t block) const;
    void measure(const Run& run);
    void activate(const std::vector<Slice>& targets, const std::optional<Slice>& residual) const;
    struct Gradient {
        const void* at;
        Format format;
    };
    Gradient gradient_at(const std::vector<Slice>& gradients, const Piece& piece) const;
    void sum_slopes(const std::vector<Slice>& gradients, const std::optional<Slice>& sum);
    void finish_slopes(const Run& run);
    void write_slopes(const std::vector<Slice>& gradients, const Slice& to) const;
    void total(std::vector<double>& sums, std::vector<double>& squares) const;
    void clear_sums();
    double join_ranks();

    StageSpec spec_;
    int64_t batch_, lanes_, blocks_;
    int threads_;
    std::byte* arena_;
    Format format_;
    std::vector<float*> scratch_;
    std::shared_ptr<net::Exchange> exchange_;
    std::vector<float> centre_, scale_, shift_, inverse_, along_, level_;
    std::vector<double> partial_, sums_, products_, joined_;  // a thread's sums and products lie together in `partial_`
};

// Adds slices up into one: a gradient that several readers gave, for those that take one dense map.
Step accumulate(const std::string& where, std::vector<Slice> sources, const Slice& target, int64_t batch, int threads,
                std::byte* arena, std::vector<float*> scratch);

}  // namespace yolo::program::training
