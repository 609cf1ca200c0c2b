#include "program/cpu/amx_weights.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "program/kernels/kernels.h"

namespace yolo::program {
namespace {

// Bytes of a tile's row, and those of it that are multiplied and added up at once.
constexpr int64_t kRowBytes = 64;
constexpr int64_t kWordBytes = 4;
constexpr int64_t kBlock = 16;

AmxProducts products_of(AmxOrder order, const dnnl::memory::dims& dims) {
    return {order, dims[1], dims[2], dims[3]};
}

int64_t weight_bytes(AmxOrder order, const dnnl::memory::dims& dims, int64_t lanes) {
    return products_of(order, dims).weight_bytes(ceil_div(dims[0], lanes) * lanes);
}

template <AmxOrder O>
size_t bytes(const dnnl::memory::dims& dims, int64_t lanes) {
    const int64_t sums = O == AmxOrder::bytes ? ceil_div(dims[0], lanes) * lanes * kWordBytes : 0;
    return static_cast<size_t>(weight_bytes(O, dims, lanes) + sums);
}

// To the nearest, ties to even.
void write(float value, uint16_t& to) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    to = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

void write(float value, int8_t& to) {
    to = static_cast<int8_t>(std::max(-127.0f, std::min(127.0f, value)));
}

// Where each number of a run goes, from the first word of a target channel on.
std::vector<int64_t> places(const AmxProducts& p, int64_t lanes, int64_t abreast) {
    std::vector<int64_t> found;
    const int64_t together = kWordBytes / p.element, step = abreast * p.numbers * lanes;
    for (int64_t at = 0; at < p.run; ++at) {
        const int64_t i = at % p.numbers;
        found.push_back(at / p.numbers * step + i / together * lanes * together + i % together);
    }
    return found;
}

// Whether kernels follow one another.
bool evenly(const int64_t* starts, int64_t count, int64_t size) {
    for (int64_t k = 1; k < count; ++k) {
        if (starts[k] != starts[0] + k * size) return false;
    }
    return true;
}

template <class Number>
void pack_pair(const AmxProducts& p, const AmxWeights& weights, int64_t lanes, const AmxKernels& kernels, int64_t pair,
               Number* to) {
    const dnnl::memory::dims& dims = weights.dims;
    const int64_t source = dims[1], height = dims[2], width = dims[3];
    const int64_t channels = std::min(2 * lanes, dims[0] - pair * 2 * lanes), abreast = ceil_div(channels, lanes);
    const int64_t tile = p.numbers * lanes, row_step = p.pieces * abreast * tile;
    const std::vector<int64_t> into = places(p, lanes, abreast);
    std::fill_n(to, abreast * tile * p.count(), Number{});
    for (int64_t k = 0; k < channels; ++k) {
        Number* const own = to + k / lanes * tile + k % lanes * kWordBytes / p.element;
        for (int64_t c = 0; c < source; ++c) {
            const float* const kernel = kernels.at(pair * 2 * lanes + k, c, source);
            // Every step of training packs anew: nothing is divided for each weight.
            const int64_t* tap = weights.taps;
            Number* row = own + c / p.channels * height * row_step;
            for (int64_t y = 0; y < height; ++y, row += row_step) {
                const int64_t* at = into.data() + c % p.channels;
                for (int64_t x = 0; x < width; ++x, at += p.channels, ++tap) write(kernel[*tap], row[*at]);
            }
        }
    }
}

// Whether weights go by vectors: those of bfloat16 where a piece holds all of a pixel's channels.
bool by_vectors(const AmxProducts& p, const dnnl::memory::dims& dims, int64_t lanes, const AmxKernels& kernels,
                int64_t target) {
    if (p.element != 2 || p.channels % kBlock != 0 || p.numbers % p.channels != 0 || kernels.starts == nullptr) return false;
    const int64_t channels = std::min(2 * lanes, dims[0] - target);
    return kernels.turned || evenly(kernels.starts + target, channels, dims[1] * kernels.area);
}

// The kernels of a block of target channels as [source channel][number][target channel].
void turn_kernels(const AmxKernels& given, int64_t target, int64_t count, int64_t source, int64_t lanes, uint16_t* rows) {
    const int64_t area = given.area;
    const auto turn = kernels().blocked[kBfloat16];
    if (!given.turned) return turn(given.at(target, 0, source), source * area, count, source * area, rows);
    for (int64_t c = 0; c < source; ++c) turn(given.at(target, c, source), area, count, area, rows + c * area * lanes);
}

// What turn_kernels() gave, of the first or the second block of a pair, to its places; `abreast`: blocks of the pair.
void place(const AmxWeights& weights, const AmxProducts& p, int64_t area, int64_t lanes, const uint16_t* rows, int64_t part,
           int64_t abreast, std::byte* to) {
    const int64_t source = weights.dims[1], width = weights.dims[3];
    const int64_t tile = p.numbers * lanes, row_step = p.pieces * abreast * tile;
    for (int64_t group = 0; group < p.groups; ++group) {
        const int64_t from = group * p.channels, there = std::min(p.channels, source - from);
        for (int64_t tap = 0; tap < weights.dims[2] * width; ++tap) {
            const int64_t at = tap % width * p.channels;
            const int64_t into = (group * p.height + tap / width) * row_step + at / p.numbers * abreast * tile +
                                 part * tile + at % p.numbers * lanes;
            const auto* const row = reinterpret_cast<const std::byte*>(rows + (from * area + weights.taps[tap]) * lanes);
            kernels().amx_pair_row(row, there, area, p.channels, to + into * 2);
        }
    }
}

// A pair by vectors: its kernels are turned once, whatever takes them.
void pack_by_vectors(const std::vector<AmxWeights>& all, int64_t lanes, const AmxKernels& given, int64_t target) {
    const int64_t targets = all[0].dims[0], source = all[0].dims[1];
    const int64_t abreast = ceil_div(std::min(2 * lanes, targets - target), lanes);
    std::vector<uint16_t> rows(static_cast<size_t>(source * given.area * lanes));
    for (int64_t part = 0; part < abreast; ++part) {
        const int64_t first = target + part * lanes;
        turn_kernels(given, first, std::min(lanes, targets - first), source, lanes, rows.data());
        for (const AmxWeights& weights : all) {
            const AmxProducts p = products_of(weights.order, weights.dims);
            place(weights, p, given.area, lanes, rows.data(), part, abreast, weights.to + p.weight_bytes(target));
        }
    }
}

template <AmxOrder O, class Number>
void pack(const std::vector<float>& weights, const dnnl::memory::dims& dims, int64_t lanes, std::byte* to) {
    std::vector<int64_t> taps(static_cast<size_t>(dims[2] * dims[3]));
    std::iota(taps.begin(), taps.end(), 0);
    const AmxKernels kernels{weights.data(), nullptr, dims[2] * dims[3], false};
    pack_amx({{O, dims, taps.data(), to}}, lanes, kernels, 0, ceil_div(dims[0], 2 * lanes));
    if constexpr (O == AmxOrder::bytes) {
        auto* const sums = reinterpret_cast<int32_t*>(to + weight_bytes(O, dims, lanes));
        const int64_t kernel = dims[1] * dims[2] * dims[3];
        std::fill_n(sums, ceil_div(dims[0], lanes) * lanes, 0);
        for (int64_t i = 0; i < dims[0] * kernel; ++i) {
            int8_t whole;
            write(weights[i], whole);
            sums[i / kernel] += whole;
        }
    }
}

template <AmxOrder O>
constexpr Packing kPacking{bytes<O>, pack<O, uint16_t>};
constexpr Packing kBytePacking{bytes<AmxOrder::bytes>, pack<AmxOrder::bytes, int8_t>};

int64_t channels_of(AmxOrder order, int64_t all) {
    switch (order) {
        case AmxOrder::planes: return 1;
        case AmxOrder::block: return kBlock;
        case AmxOrder::pairs: return 2 * kBlock;
        default: return all;
    }
}

}  // namespace

AmxOrder amx_order(const TensorView& source, bool one_by_one) {
    if (source.element == 1) return AmxOrder::bytes;
    if (source.layout == Layout::nchw) return AmxOrder::planes;
    return one_by_one || source.channels <= kBlock ? AmxOrder::block : AmxOrder::pairs;
}

AmxProducts::AmxProducts(AmxOrder order, int64_t all, int64_t rows, int64_t width)
    : element(order == AmxOrder::bytes ? 1 : 2),
      channels(channels_of(order, all)),
      groups(ceil_div(all, channels)),
      height(rows),
      run(width * channels),
      pieces(ceil_div(run * element, kRowBytes)),
      numbers(ceil_div(ceil_div(run, pieces) * element, kWordBytes) * kWordBytes / element) {}

const float* AmxKernels::at(int64_t target, int64_t source, int64_t sources) const {
    if (turned) return values + starts[source] + target * area;
    return values + (starts == nullptr ? target * sources * area : starts[target]) + source * area;
}

void pack_amx(const std::vector<AmxWeights>& all, int64_t lanes, const AmxKernels& given, int64_t begin, int64_t end) {
    for (int64_t pair = begin; pair < end; ++pair) {
        const int64_t target = pair * 2 * lanes;
        const bool fast = std::all_of(all.begin(), all.end(), [&](const AmxWeights& weights) {
            return by_vectors(products_of(weights.order, weights.dims), weights.dims, lanes, given, target);
        });
        if (fast) {
            pack_by_vectors(all, lanes, given, target);
            continue;
        }
        for (const AmxWeights& weights : all) {
            const AmxProducts p = products_of(weights.order, weights.dims);
            std::byte* const to = weights.to + p.weight_bytes(target);
            weights.order == AmxOrder::bytes
                ? pack_pair(p, weights, lanes, given, pair, reinterpret_cast<int8_t*>(to))
                : pack_pair(p, weights, lanes, given, pair, reinterpret_cast<uint16_t*>(to));
        }
    }
}

const Packing& amx_packing(AmxOrder order) {
    switch (order) {
        case AmxOrder::planes: return kPacking<AmxOrder::planes>;
        case AmxOrder::block: return kPacking<AmxOrder::block>;
        case AmxOrder::pairs: return kPacking<AmxOrder::pairs>;
        default: return kBytePacking;
    }
}

}  // namespace yolo::program
