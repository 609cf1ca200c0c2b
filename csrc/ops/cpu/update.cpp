#include "ops/update.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "parallel/team.h"

namespace yolo::ops {
namespace {

constexpr int64_t kChunk = 1 << 15;  // numbers that one thread takes at a time
constexpr int64_t kLanes = 8;
constexpr double kMaxNorm = 10.0;
constexpr double kNormEpsilon = 1e-6;
constexpr float kBeta2 = 0.999f, kRest2 = static_cast<float>(1.0 - 0.999);
constexpr float kAdamEpsilon = 1e-8f;

double sum_of_squares(const float* values, int64_t n) {
    double lanes[kLanes] = {};
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        for (int64_t k = 0; k < kLanes; ++k) {
            const double value = values[i + k];
            lanes[k] += value * value;
        }
    }
    for (; i < n; ++i) lanes[i % kLanes] += static_cast<double>(values[i]) * values[i];
    double total = 0;
    for (const double lane : lanes) total += lane;
    return total;
}

// Chunks are the same for any number of threads, and are added in their order.
double norm_of(const float* gradient, int64_t n) {
    std::vector<double> sums((n + kChunk - 1) / kChunk);
    parallel::deal(static_cast<int64_t>(sums.size()), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            sums[i] = sum_of_squares(gradient + i * kChunk, std::min(kChunk, n - i * kChunk));
        }
    });
    double total = 0;
    for (const double sum : sums) total += sum;
    return std::sqrt(total);
}

// A run of numbers of one group.
struct Piece {
    int64_t begin, end;
    float rate, decay;
    bool statistics;
};

void cut(int64_t begin, int64_t size, const Piece& kind, std::vector<Piece>& pieces) {
    for (int64_t at = begin; at < begin + size; at += kChunk) {
        pieces.push_back(kind);
        pieces.back().begin = at;
        pieces.back().end = std::min(begin + size, at + kChunk);
    }
}

std::vector<Piece> pieces_of(const UpdateSizes& sizes, const UpdateRates& rates, float weight_decay) {
    std::vector<Piece> pieces;
    cut(0, sizes.bias, {0, 0, rates.bias, 0.0f, false}, pieces);
    cut(sizes.bias, sizes.weight, {0, 0, rates.weight, weight_decay, false}, pieces);
    cut(sizes.bias + sizes.weight, sizes.norm, {0, 0, rates.norm, 0.0f, false}, pieces);
    cut(sizes.bias + sizes.weight + sizes.norm, sizes.statistics, {0, 0, 0.0f, 0.0f, true}, pieces);
    return pieces;
}

// Operation by operation as in graphs/update.py, so that both round alike. `decays` is a constant of the loop:
// without decay nothing is added, not even a zero that an infinite weight would turn into NaN.
template <Optimizer optimizer, bool decays>
void step(const UpdateBuffers& buffers, const UpdateRates& rates, const Piece& piece, float scale) {
    float* __restrict values = buffers.values;
    float* __restrict gradient = buffers.gradient;
    float* __restrict first = buffers.first;
    float* __restrict second = buffers.second;
    float* __restrict ema = buffers.ema;
    const float momentum = rates.momentum, rest = 1.0f - momentum;
    const float keep = rates.ema_decay, take = 1.0f - keep;
    const float rate = piece.rate, decay = piece.decay;
    const float first_correction = rates.first_correction, second_correction = rates.second_correction;
    for (int64_t i = piece.begin; i < piece.end; ++i) {
        const float value = values[i];
        float slope = gradient[i] * scale, direction;
        if (decays && optimizer != Optimizer::kAdamW) slope = slope + value * decay;
        if (optimizer == Optimizer::kSgd) {
            const float moment = first[i] * momentum + slope;
            first[i] = moment;
            direction = slope + moment * momentum;
        } else {
            const float moment = first[i] * momentum + slope * rest;
            const float square = second[i] * kBeta2 + slope * slope * kRest2;
            first[i] = moment;
            second[i] = square;
            direction = (moment / first_correction) / (std::sqrt(square / second_correction) + kAdamEpsilon);
        }
        if (decays && optimizer == Optimizer::kAdamW) direction = direction + value * decay;
        const float moved = value - direction * rate;
        values[i] = moved;
        ema[i] = ema[i] * keep + moved * take;
        gradient[i] = 0.0f;
    }
}

void average(const UpdateBuffers& buffers, const UpdateRates& rates, const Piece& piece) {
    const float* __restrict values = buffers.values;
    float* __restrict ema = buffers.ema;
    const float keep = rates.ema_decay, take = 1.0f - keep;
    for (int64_t i = piece.begin; i < piece.end; ++i) ema[i] = ema[i] * keep + values[i] * take;
}

template <Optimizer optimizer>
void run(const UpdateBuffers& buffers, const UpdateRates& rates, const Piece& piece, float scale) {
    if (piece.statistics) return average(buffers, rates, piece);
    const auto move = piece.decay != 0 ? step<optimizer, true> : step<optimizer, false>;
    move(buffers, rates, piece, scale);
}

using Run = void (*)(const UpdateBuffers&, const UpdateRates&, const Piece&, float);

Run runner(Optimizer optimizer) {
    switch (optimizer) {
        case Optimizer::kAdam:
            return run<Optimizer::kAdam>;
        case Optimizer::kAdamW:
            return run<Optimizer::kAdamW>;
        case Optimizer::kSgd:
            break;
    }
    return run<Optimizer::kSgd>;
}

}  // namespace

double update_parameters(Optimizer optimizer, const UpdateBuffers& buffers, const UpdateSizes& sizes,
                         const UpdateRates& rates, float weight_decay) {
    const double norm = norm_of(buffers.gradient, sizes.bias + sizes.weight + sizes.norm);
    const double ratio = kMaxNorm / (norm + kNormEpsilon);
    const float scale = ratio > 1 ? 1.0f : static_cast<float>(ratio);  // NaN stays NaN
    const std::vector<Piece> pieces = pieces_of(sizes, rates, weight_decay);
    const Run run_piece = runner(optimizer);
    parallel::deal(static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) run_piece(buffers, rates, pieces[i], scale);
    });
    return norm;
}

}  // namespace yolo::ops
