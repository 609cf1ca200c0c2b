#include <algorithm>

#include "cuda/host/races/cases.h"
#include "program/cuda/norm.h"

namespace yolo::cuda::races {
namespace {

using namespace yolo::program::cuda;

constexpr Activation kSilu{Function::silu, 0.0f};
// Channels: a last pack that is no full one; more packs than a block is wide.
constexpr int64_t kChannels[] = {19, 267};

Map source(Memory& memory, Number number, int64_t channels) {
    return memory.map(number, 2, 9, 11, channels, 8);
}

struct Norm {
    NormValues values;
    BatchState state;

    Norm(Memory& memory, const Map& map)
        : values{memory.numbers(map.channels), memory.numbers(map.channels), memory.numbers(map.channels),
                 memory.numbers(map.channels, 0.0f, 1.0f), 1e-3f, 0.03f} {
        float* const all = memory.take<float>(6 * map.lanes());
        const auto part = [&](int64_t number) { return all + number * map.lanes(); };
        state = {part(0), part(1), part(2), part(3), part(4), part(5)};
    }
};

float* scratch(Memory& memory, size_t bytes) {
    return reinterpret_cast<float*>(memory.scratch(bytes));
}

const Register measuring("measure", [](Memory& memory) {
    for (const int64_t channels : kChannels) {
        const Map map = source(memory, channels == 19 ? Number::float32 : Number::float16, channels);
        const Norm norm(memory, map);
        measure(map, norm.values, norm.state, scratch(memory, measure_scratch_bytes(map)), nullptr);
    }
});

const Register activating("activate", [](Memory& memory) {
    for (const Number number : kNumbers) {
        const Map map = source(memory, number, 19), residual = memory.like(map);
        const std::vector<Map> targets{memory.like(map), memory.like(map)};
        const Affine affine{memory.numbers(19), memory.numbers(19), memory.numbers(19)};
        activate(map, affine, kSilu, &residual, targets, nullptr);
        activate(map, {nullptr, nullptr, memory.numbers(19)}, kSilu, nullptr, {map}, nullptr);
    }
});

const Register gradients("norm gradients", [](Memory& memory) {
    for (const int64_t channels : kChannels) {
        const Map map = source(memory, channels == 19 ? Number::float32 : Number::bfloat16, channels);
        const Map sum = memory.like(map);
        const std::vector<Map> given{memory.like(map), memory.like(map)};
        const Norm norm(memory, map);
        float* const room = scratch(memory, std::max(measure_scratch_bytes(map), gradient_scratch_bytes(map)));
        measure(map, norm.values, norm.state, room, nullptr);
        const ParameterGradients to{memory.numbers(channels), memory.numbers(channels), &norm.state};
        add_parameter_gradients(map, given, &sum, norm.state.affine(), kSilu, to, room, nullptr);
        write_source_gradient(map, {sum}, norm.state.affine(), kSilu, &norm.state, map, nullptr);
    }
});

const Register joined("norms of two ranks", [](Memory& memory) {
    for (const int64_t channels : kChannels) {
        const Map map = source(memory, Number::float32, channels);
        const std::vector<Map> given{memory.like(map)};
        const Norm norm(memory, map);
        double* const sums = memory.take<double>(2 * channels);
        float* const room = scratch(memory, std::max(measure_scratch_bytes(map), gradient_scratch_bytes(map)));
        sum_moments(map, sums, room, nullptr);
        settle_moments(map, 2, sums, norm.values, norm.state, nullptr);
        const ParameterGradients to{memory.numbers(channels), memory.numbers(channels), &norm.state, sums};
        add_parameter_gradients(map, given, nullptr, norm.state.affine(), kSilu, to, room, nullptr);
        settle_gradients(map, 2, sums, norm.state, nullptr);
    }
});

const Register biases("bias gradients", [](Memory& memory) {
    for (const int64_t channels : kChannels) {
        const Map map = source(memory, Number::float32, channels), gradient = memory.like(map);
        float *const bias = memory.numbers(channels), *const sums = memory.numbers(channels);
        float* const room = scratch(memory, std::max(gradient_scratch_bytes(map), bias_gradient_scratch_bytes(map)));
        add_parameter_gradients(map, {gradient}, nullptr, {nullptr, nullptr, bias}, kSilu, {sums}, room, nullptr);
        add_bias_gradient(gradient, memory.numbers(channels), room, nullptr);
    }
});

}  // namespace
}  // namespace yolo::cuda::races
