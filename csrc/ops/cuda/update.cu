#include "ops/cuda/update.h"

#include <cmath>

#include "cuda/kernel.h"

namespace yolo::ops::cuda {
namespace {

using yolo::cuda::Block;
using yolo::cuda::block_sum;

constexpr int64_t kFour = 4;  // numbers that a thread takes at once
constexpr int kSumThreads = 256;
constexpr int64_t kChunk = 8 * kFour * kSumThreads;  // numbers of a gradient that one block adds up
constexpr size_t kSharedBytes = kSumThreads / yolo::cuda::kWarp * sizeof(double);
constexpr double kMaxNorm = 10.0;
constexpr double kNormEpsilon = 1e-6;
constexpr float kBeta2 = 0.999f, kRest2 = static_cast<float>(1.0 - 0.999);
constexpr float kAdamEpsilon = 1e-8f;
// PyTorch's GradScaler.
constexpr float kGrowth = 2.0f, kBackoff = 0.5f;
constexpr int32_t kGrowthInterval = 2000;

static_assert(sizeof(UpdateRates) == 7 * sizeof(float), "rates are a vector of seven");

struct alignas(16) Four {
    float values[kFour];
};

YOLO_DEVICE Four load(const float* from) {
    return *reinterpret_cast<const Four*>(from);
}

YOLO_DEVICE void store(float* to, const Four& four) {
    *reinterpret_cast<Four*>(to) = four;
}

// What all threads of the last kernel need; at the start of the scratch, the blocks' sums behind it.
struct Clip {
    float inverse;  // of the loss scale
    float scale;    // of the gradient, so that its norm is 10 at most
    bool skips;
};
constexpr size_t kClipBytes = 256;

int64_t parameters_of(const UpdateSizes& sizes) {
    return sizes.bias + sizes.weight + sizes.norm;
}

int64_t chunks_of(const UpdateSizes& sizes) {
    return (parameters_of(sizes) + kChunk - 1) / kChunk;
}

struct SumSquares {
    static constexpr int kThreads = kSumThreads;
    const float* gradient;
    int64_t count;
    double* sums;  // one a block

    YOLO_DEVICE void operator()(const Block& block) const {
        const int64_t first = block.index() * kChunk + block.thread() * kFour;
        double lanes[kFour] = {};
        for (int64_t offset = 0; offset < kChunk; offset += kThreads * kFour) {
            const int64_t i = first + offset;
            if (i + kFour <= count) {
                const Four four = load(gradient + i);
                for (int k = 0; k < kFour; ++k) {
                    const double value = four.values[k];
                    lanes[k] += value * value;
                }
            } else {
                for (int64_t k = i; k < count; ++k) lanes[0] += static_cast<double>(gradient[k]) * gradient[k];
            }
        }
        const double sum = block_sum(block, (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]), block.shared<double>());
        if (block.thread() == 0) sums[block.index()] = sum;
    }
};

// Adds the blocks' sums, in one block, and decides what the update does.
struct Decide {
    static constexpr int kThreads = kSumThreads;
    const double* sums;
    int64_t count;
    LossScale* loss_scale;
    Clip* clip;
    float* norm;

    YOLO_DEVICE void operator()(const Block& block) const {
        double sum = 0;
        for (int64_t i = block.thread(); i < count; i += kThreads) sum += sums[i];
        sum = block_sum(block, sum, block.shared<double>());
        if (block.thread() == 0) decide(sqrt(sum));
    }

    YOLO_DEVICE void decide(double length) const {
        Clip made{1.0f, 1.0f, false};
        if (loss_scale != nullptr) {
            made.inverse = static_cast<float>(1.0 / loss_scale->scale);
            made.skips = !(length < INFINITY);
            length *= made.inverse;
            move_scale(made.skips);
        }
        const double ratio = kMaxNorm / (length + kNormEpsilon);
        made.scale = ratio > 1 ? 1.0f : static_cast<float>(ratio);  // NaN stays NaN
        *clip = made;
        *norm = static_cast<float>(length);
    }

    YOLO_DEVICE void move_scale(bool skips) const {
        LossScale state = *loss_scale;
        state.skipped = skips;
        state.steps = skips ? 0 : state.steps + 1;
        if (skips) state.scale *= kBackoff;
        if (state.steps == kGrowthInterval) {
            if (state.scale * kGrowth < INFINITY) state.scale *= kGrowth;
            state.steps = 0;
        }
        *loss_scale = state;
    }
};

// Four numbers of the vectors: parameters, statistics, or some of both.
template <Optimizer optimizer>
struct Move {
    UpdateBuffers at;
    UpdateSizes sizes;
    int64_t parameters, size;
    const UpdateRates* rates;
    const Clip* clip;
    float weight_decay;

    YOLO_DEVICE void operator()(int64_t pack) const {
        const int64_t first = pack * kFour;
        const UpdateRates now = *rates;
        if (first + kFour <= parameters) return move_four(first, now);
        if (first >= parameters && first + kFour <= size) return average_four(first, now);
        for (int64_t i = first; i < first + kFour && i < size; ++i) {
            float moved = at.values[i];
            if (i < parameters) {
                float none = 0.0f, &second = optimizer == Optimizer::kSgd ? none : at.second[i];
                if (!clip->skips) at.values[i] = moved = step(i, moved, at.gradient[i], at.first[i], second, now);
                at.gradient[i] = 0.0f;
            }
            at.ema[i] = averaged(at.ema[i], moved, now);
        }
    }

    YOLO_DEVICE void move_four(int64_t i, const UpdateRates& now) const {
        Four values = load(at.values + i), ema = load(at.ema + i);
        if (!clip->skips) {
            const Four gradient = load(at.gradient + i);
            Four first = load(at.first + i), second{};
            if (optimizer != Optimizer::kSgd) second = load(at.second + i);
            for (int k = 0; k < kFour; ++k) {
                values.values[k] =
                    step(i + k, values.values[k], gradient.values[k], first.values[k], second.values[k], now);
            }
            store(at.values + i, values);
            store(at.first + i, first);
            if (optimizer != Optimizer::kSgd) store(at.second + i, second);
        }
        store(at.gradient + i, Four{});
        for (int k = 0; k < kFour; ++k) ema.values[k] = averaged(ema.values[k], values.values[k], now);
        store(at.ema + i, ema);
    }

    YOLO_DEVICE void average_four(int64_t i, const UpdateRates& now) const {
        const Four values = load(at.values + i);
        Four ema = load(at.ema + i);
        for (int k = 0; k < kFour; ++k) ema.values[k] = averaged(ema.values[k], values.values[k], now);
        store(at.ema + i, ema);
    }

    YOLO_DEVICE static float averaged(float ema, float value, const UpdateRates& now) {
        return ema * now.ema_decay + value * (1.0f - now.ema_decay);
    }

    // Parameter number i after its step; operation by operation as ops/cpu/update.cpp. Without decay nothing is added,
    // not even a zero that an infinite weight would turn into NaN.
    YOLO_DEVICE float step(int64_t i, float value, float gradient, float& first, float& second,
                           const UpdateRates& now) const {
        const bool weight = i >= sizes.bias && i < sizes.bias + sizes.weight, decays = weight && weight_decay != 0.0f;
        const float rate = weight ? now.weight : i < sizes.bias ? now.bias : now.norm;
        float slope = gradient * clip->inverse * clip->scale, direction;
        if (decays && optimizer != Optimizer::kAdamW) slope = slope + value * weight_decay;
        if (optimizer == Optimizer::kSgd) {
            first = first * now.momentum + slope;
            direction = slope + first * now.momentum;
        } else {
            first = first * now.momentum + slope * (1.0f - now.momentum);
            second = second * kBeta2 + slope * slope * kRest2;
            direction = (first / now.first_correction) / (sqrtf(second / now.second_correction) + kAdamEpsilon);
        }
        if (decays && optimizer == Optimizer::kAdamW) direction = direction + value * weight_decay;
        return value - direction * rate;
    }
};

struct Divide {
    float* numbers;
    float parts;

    YOLO_DEVICE void operator()(int64_t i) const { numbers[i] /= parts; }
};

}  // namespace

size_t update_scratch_bytes(const UpdateSizes& sizes) {
    return kClipBytes + static_cast<size_t>(chunks_of(sizes)) * sizeof(double);
}

void update_parameters(Optimizer optimizer, const UpdateBuffers& buffers, const UpdateSizes& sizes,
                       const UpdateRates* rates, float weight_decay, LossScale* loss_scale, float* norm, void* scratch,
                       yolo::cuda::Stream stream) {
    const int64_t parameters = parameters_of(sizes), size = parameters + sizes.statistics, chunks = chunks_of(sizes);
    auto* const clip = static_cast<Clip*>(scratch);
    auto* const sums = reinterpret_cast<double*>(static_cast<std::byte*>(scratch) + kClipBytes);
    yolo::cuda::blocks(stream, chunks, kSharedBytes, SumSquares{buffers.gradient, parameters, sums});
    yolo::cuda::blocks(stream, 1, kSharedBytes, Decide{sums, chunks, loss_scale, clip, norm});
    const auto move = [&](auto kernel) { yolo::cuda::each(stream, (size + kFour - 1) / kFour, kernel); };
    switch (optimizer) {
        case Optimizer::kSgd:
            return move(Move<Optimizer::kSgd>{buffers, sizes, parameters, size, rates, clip, weight_decay});
        case Optimizer::kAdam:
            return move(Move<Optimizer::kAdam>{buffers, sizes, parameters, size, rates, clip, weight_decay});
        case Optimizer::kAdamW:
            return move(Move<Optimizer::kAdamW>{buffers, sizes, parameters, size, rates, clip, weight_decay});
    }
}

void divide(float* numbers, int64_t count, int parts, yolo::cuda::Stream stream) {
    yolo::cuda::each(stream, count, Divide{numbers, static_cast<float>(parts)});
}

}  // namespace yolo::ops::cuda
