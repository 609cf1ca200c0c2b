// One step of training on flat vectors: clipping, optimizer, moving average, emptied gradient.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace yolo::ops {

enum class Optimizer { kSgd, kAdam, kAdamW };

// By its name: "SGD", "Adam" or "AdamW". Raises std::invalid_argument for another one.
inline Optimizer optimizer_of(const std::string& name) {
    if (name == "SGD") return Optimizer::kSgd;
    if (name == "Adam") return Optimizer::kAdam;
    if (name == "AdamW") return Optimizer::kAdamW;
    throw std::invalid_argument("unknown optimizer " + name);
}

// values, ema: parameters in the order bias, weight, norm, then statistics. gradient, first: the parameters alone;
// first is the momentum or first moment. second: the second moment, one for each parameter; SGD does not touch it.
struct UpdateBuffers {
    float *values, *gradient, *first, *second, *ema;
};

struct UpdateSizes {
    int64_t bias, weight, norm, statistics;
};

// Learning rates of the groups; corrections: 1 - momentum^step and 1 - 0.999^step (Adam).
struct UpdateRates {
    float bias, weight, norm, momentum, ema_decay, first_correction, second_correction;
};

// Scales the gradient to a norm of 10 where it is greater, takes one step of SGD with Nesterov momentum, Adam or
// AdamW with PyTorch's formulas in float32, moves the average of parameters and statistics and fills the gradient
// with zeros. weight_decay holds for the group `weight` alone. Returns the gradient's norm before it was scaled,
// summed in double; where that is NaN every parameter becomes NaN, where it is infinite those whose gradient is.
// Results do not depend on the number of threads.
double update_parameters(Optimizer optimizer, const UpdateBuffers& buffers, const UpdateSizes& sizes,
                         const UpdateRates& rates, float weight_decay);

}  // namespace yolo::ops
