// Batch norm, activation and residual sum of feature maps, and their gradients. Maps of one call have one shape and
// number type; vectors hold a float32 a channel. All give work to a stream; `scratch` is theirs while it is done.
#pragma once

#include <cstddef>
#include <vector>

#include "cuda/device.h"
#include "cuda/map.h"
#include "program/cuda/activation.h"

namespace yolo::program::cuda {

using yolo::cuda::Map;
using yolo::cuda::Stream;

// u = (x - centre) * scale + shift, with 0, 1 and 0 in place of vectors that are not there.
struct Affine {
    const float* centre = nullptr;
    const float* scale = nullptr;
    const float* shift = nullptr;
};

// What a batch norm keeps of a forward pass: centre and inverse, the batch's mean and 1 / sqrt(variance + eps); scale =
// weight * inverse; shift = bias. Its gradient is g * scale + (x - centre) * along + level.
struct BatchState {
    float *centre, *inverse, *scale, *shift, *along, *level;

    Affine affine() const { return {centre, scale, shift}; }
};

// Of a batch norm, in the values; mean and variance are the running ones.
struct NormValues {
    const float *weight, *bias;
    float *mean, *variance;
    float eps, momentum;
};

// Writes centre, inverse, scale and shift, by all pixels of all images, and moves the running statistics by `momentum`
// towards the batch's, the variance unbiased.
void measure(const Map& source, const NormValues& values, const BatchState& state, float* scratch, Stream stream);
size_t measure_scratch_bytes(const Map& source);

// The same in two parts, where the batch is that of several ranks with as many images each: the sums of this one's
// numbers and of their squares, float64 [2, channels]; and what follows from those of all ranks. float64, so that they
// can simply be added up: the variance that is left has lost no more digits than float32 has spare.
void sum_moments(const Map& source, double* sums, float* scratch, Stream stream);
void settle_moments(const Map& source, int ranks, const double* sums, const NormValues& values, const BatchState& state,
                    Stream stream);

// targets = f(u(source)) + residual (where not null). A target may be the source or the residual.
void activate(const Map& source, const Affine& affine, const Activation& activation, const Map* residual,
              const std::vector<Map>& targets, Stream stream);

// With g = f'(u(source)) * the sum of `gradients` (at most kMostSources of kinds.h): bias += sum(g), and of a batch
// norm, where `weight` and `state` are not null, weight += sum(g * (source - centre)) * inverse; its along and level are
// written. Where `sums`, float64 [2, channels], is not null either, the two sums are written there instead, for
// settle_gradients() to take when they are those of all ranks. The sum of the gradients goes to `sum` where that is not
// null.
struct ParameterGradients {
    float* bias;
    float* weight = nullptr;
    const BatchState* state = nullptr;
    double* sums = nullptr;
};
void add_parameter_gradients(const Map& source, const std::vector<Map>& gradients, const Map* sum,
                             const Affine& affine, const Activation& activation, const ParameterGradients& to,
                             float* scratch, Stream stream);
size_t gradient_scratch_bytes(const Map& source);
void settle_gradients(const Map& source, int ranks, const double* sums, const BatchState& state, Stream stream);

// target = g * scale + (source - centre) * along + level, without the last two where there is no `state`. The target
// may be the source.
void write_source_gradient(const Map& source, const std::vector<Map>& gradients, const Affine& affine,
                           const Activation& activation, const BatchState* state, const Map& target, Stream stream);

// bias += the sum of a map's pixels.
void add_bias_gradient(const Map& gradient, float* bias, float* scratch, Stream stream);
size_t bias_gradient_scratch_bytes(const Map& gradient);

}  // namespace yolo::program::cuda
