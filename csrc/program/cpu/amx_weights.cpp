#include "program/cpu/amx_weights.h"

#include <algorithm>
#include <cstring>
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
void pack_pair(const AmxProducts& p, const dnnl::memory::dims& dims, int64_t lanes, const AmxKernels& kernels, int64_t pair,
               Number* to) {
    const int64_t source = dims[1], height = dims[2], width = dims[3], area = height * width;
    const int64_t channels = std::min(2 * lanes, dims[0] - pair * 2 * lanes), abreast = ceil_div(channels, lanes);
    const int64_t tile = p.numbers * lanes, row_step = p.pieces * abreast * tile;
    const std::vector<int64_t> place = places(p, lanes, abreast);
    const int64_t next = kernels.turned ? -1 : 1;
    std::fill_n(to, abreast * tile * p.count(), Number{});
    for (int64_t k = 0; k < channels; ++k) {
        Number* const own = to + k / lanes * tile + k % lanes * kWordBytes / p.element;
        for (int64_t c = 0; c < source; ++c) {
            const float* const kernel = kernels.at(pair * 2 * lanes + k, c, source, area);
            // Every step of training packs anew: nothing is divided for each weight.
            const float* weight = kernels.turned ? kernel + area - 1 : kernel;
            Number* row = own + c / p.channels * height * row_step;
            for (int64_t y = 0; y < height; ++y, row += row_step) {
                const int64_t* at = place.data() + c % p.channels;
                for (int64_t x = 0; x < width; ++x, at += p.channels, weight += next) write(*weight, row[*at]);
            }
        }
    }
}

// The same by vectors, of bfloat16 where a piece holds all of a pixel's channels; whether it is so. `target`: the first one;
// all weights of training are packed twice a step.
bool pack_by_vectors(const AmxProducts& p, const dnnl::memory::dims& dims, int64_t lanes, const AmxKernels& given,
                     int64_t target, std::byte* to) {
    const int64_t source = dims[1], width = dims[3], area = dims[2] * width;
    if (p.element != 2 || p.channels % kBlock != 0 || p.numbers % p.channels != 0) return false;
    const int64_t channels = std::min(2 * lanes, dims[0] - target), abreast = ceil_div(channels, lanes);
    if (given.starts == nullptr || (!given.turned && !evenly(given.starts + target, channels, source * area))) return false;
    const int64_t tile = p.numbers * lanes, row_step = p.pieces * abreast * tile;
    std::vector<uint16_t> rows(static_cast<size_t>(p.channels * area * lanes));  // [source channel][tap][target channel]
    for (int64_t part = 0; part < abreast; ++part) {
        const int64_t first = target + part * lanes, count = std::min(lanes, dims[0] - first);
        for (int64_t group = 0; group < p.groups; ++group) {
            const int64_t from = group * p.channels, there = std::min(p.channels, source - from);
            if (given.turned) {
                for (int64_t c = 0; c < there; ++c) {
                    kernels().blocked[kBfloat16](given.at(first, from + c, source, area), area, count, area,
                                                 rows.data() + c * area * lanes);
                }
            } else {
                kernels().blocked[kBfloat16](given.at(first, from, source, area), source * area, count, there * area,
                                             rows.data());
            }
            for (int64_t tap = 0; tap < area; ++tap) {
                const int64_t at = tap % width * p.channels;
                const int64_t place = (group * p.height + tap / width) * row_step + at / p.numbers * abreast * tile +
                                      part * tile + at % p.numbers * lanes;
                const uint16_t* const row = rows.data() + (given.turned ? area - 1 - tap : tap) * lanes;
                kernels().amx_pair_row(reinterpret_cast<const std::byte*>(row), there, area, p.channels, to + place * 2);
            }
        }
    }
    return true;
}

template <AmxOrder O, class Number>
void pack(const std::vector<float>& weights, const dnnl::memory::dims& dims, int64_t lanes, std::byte* to) {
    pack_amx(O, dims, lanes, {weights.data(), nullptr, false}, 0, ceil_div(dims[0], 2 * lanes), to);
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

const float* AmxKernels::at(int64_t target, int64_t source, int64_t sources, int64_t area) const {
    if (turned) return values + starts[source] + target * area;
    return values + (starts == nullptr ? target * sources * area : starts[target]) + source * area;
}

void pack_amx(AmxOrder order, const dnnl::memory::dims& dims, int64_t lanes, const AmxKernels& kernels, int64_t begin,
              int64_t end, std::byte* to) {
    const AmxProducts p = products_of(order, dims);
    for (int64_t pair = begin; pair < end; ++pair) {
        std::byte* const own = to + p.weight_bytes(pair * 2 * lanes);
        if (order == AmxOrder::bytes) {
            pack_pair(p, dims, lanes, kernels, pair, reinterpret_cast<int8_t*>(own));
        } else if (!pack_by_vectors(p, dims, lanes, kernels, pair * 2 * lanes, own)) {
            pack_pair(p, dims, lanes, kernels, pair, reinterpret_cast<uint16_t*>(own));
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
