#include "cuda/host/races/cases.h"
#include "program/cuda/accumulate.h"
#include "program/cuda/epilogue.h"
#include "program/cuda/images.h"
#include "program/cuda/moves.h"
#include "program/cuda/weights.h"

namespace yolo::cuda::races {
namespace {

using namespace yolo::program::cuda;

const Register images("load_images", [](Memory& memory) {
    for (const Number number : kNumbers) {
        const Map target = memory.map(number, 2, 7, 9, 3, 8);
        auto* const bytes = memory.take<uint8_t>(2 * 3 * 7 * 9);
        for (int64_t i = 0; i < 2 * 3 * 7 * 9; ++i) bytes[i] = static_cast<uint8_t>(memory.below(256));
        load_images(bytes, target, 255.0f, nullptr);
    }
});

// Two tiles of pixels and two of channels, neither of them full.
const Register stored("store_head", [](Memory& memory) {
    for (const Number number : {Number::float32, Number::float16}) {
        const Map source = memory.map(number, 1, 7, 11, 39, 8);
        store_head(source, memory.take<float>(39 * 7 * 11), nullptr);
    }
});

const Register loaded("load_head", [](Memory& memory) {
    for (const Number number : {Number::float32, Number::float16}) {
        load_head(memory.numbers(39 * 7 * 11), memory.map(number, 1, 7, 11, 39, 8), nullptr);
    }
});

const Register sums("accumulate", [](Memory& memory) {
    for (const Number number : kNumbers) {
        const Map first = memory.map(number, 2, 5, 7, 19, 8);
        accumulate({first, memory.like(first), memory.like(first)}, memory.like(first), nullptr);
        accumulate({first, first}, memory.map(Number::float32, 2, 5, 7, 19), nullptr);
    }
});

// A coarse map's channels: those of the fine one at four places, as a focus has them; the last of its packs are cut.
Links links(Memory& memory) {
    std::vector<Link> channels;
    for (int32_t place = 0; place < 4; ++place) {
        for (int32_t c = 0; c < 5; ++c) channels.push_back({c, place / 2, place % 2});
    }
    return {memory.copy(channels), memory.copy<uint8_t>({0, 0, 0}), 2};
}

const Register gathered("gather", [](Memory& memory) {
    for (const Number number : {Number::float32, Number::float16}) {
        const Map fine = memory.map(number, 2, 7, 9, 5, 8), coarse = memory.map(number, 2, 4, 5, 20, 8);
        gather(fine, coarse, links(memory), nullptr);
    }
});

const Register scattered("scatter", [](Memory& memory) {
    for (const Number number : {Number::float32, Number::float16}) {
        const Map fine = memory.map(number, 2, 7, 9, 5, 8), coarse = memory.map(number, 2, 4, 5, 20, 8);
        scatter(coarse, fine, links(memory), nullptr);
    }
});

// Whole packs, from the second of the fine map on.
const Register moved("gather and scatter packs", [](Memory& memory) {
    std::vector<Link> channels;
    for (int32_t c = 0; c < 11; ++c) channels.push_back({8 + c, 0, 0});
    const Links whole{memory.copy(channels), memory.copy<uint8_t>({1, 1}), 1};
    const Map fine = memory.map(Number::bfloat16, 2, 5, 7, 19), coarse = memory.map(Number::bfloat16, 2, 5, 7, 11);
    gather(fine, coarse, whole, nullptr);
    scatter(memory.like(coarse), fine, whole, nullptr);
});

const Register cleared("clear_lanes", [](Memory& memory) {
    const auto* const lanes = memory.copy<Lanes>({{0, 0}, {2, 3}});
    for (const Number number : {Number::float32, Number::float16}) {
        clear_lanes(memory.map(number, 2, 5, 7, 24), lanes, 2, nullptr);
    }
    for (const Number number : kNumbers) {
        Map map = memory.map(number, 2, 5, 7, 24);
        map.channels = 19;  // the others are to become zeros
        clear_lanes(map, nullptr);
    }
});

const Register weights("pack_weights and add_weight_gradient", [](Memory& memory) {
    for (const int64_t groups : {1, 3}) {
        const WeightShape shape(3, 6, 9, groups);
        const int64_t count = 3 * shape.in * 9, half = count / 2;
        const int64_t* const pieces = memory.copy(pieces_of({100, half, 3, 17, 100 + half, count - half - 17}));
        const float* const values = memory.numbers(100 + count);
        for (const Number number : {Number::float32, Number::bfloat16}) {
            const auto bytes = shape.packed() * static_cast<int64_t>(bytes_of(number));
            pack_weights(values, pieces, shape, number, memory.take<std::byte>(bytes), nullptr);
        }
        const float* const gradient = memory.numbers(shape.packed());
        add_weight_gradient(gradient, pieces, shape, memory.numbers(100 + count), nullptr);
    }
});

}  // namespace
}  // namespace yolo::cuda::races
