#include "program/cpu/amx_weights.h"

#include <algorithm>
#include <cstring>

namespace yolo::program {
namespace {

// Bytes of a tile's row, and those of it that are multiplied and added up at once.
constexpr int64_t kRowBytes = 64;
constexpr int64_t kWordBytes = 4;
constexpr int64_t kBlock = 16;

int64_t ceil_div(int64_t number, int64_t by) {
    return (number + by - 1) / by;
}

AmxProducts products_of(AmxOrder order, const dnnl::memory::dims& dims) {
    return {order, dims[1], dims[2], dims[3]};
}

int64_t weight_bytes(AmxOrder order, const dnnl::memory::dims& dims, int64_t lanes) {
    const AmxProducts p = products_of(order, dims);
    return ceil_div(dims[0], lanes) * lanes * p.count() * p.depth();
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

// Of one target channel, whose first word of weights is `own`; the next product's is `step` numbers further.
template <class Number>
void pack_channel(const float* weights, const AmxProducts& p, const dnnl::memory::dims& dims, int64_t lanes, int64_t step,
                  Number* own) {
    const int64_t width = dims[3], together = kWordBytes / p.element;
    for (int64_t product = 0; product < p.count(); ++product, own += step) {
        const int64_t group = product / (p.height * p.pieces), row = product / p.pieces % p.height;
        for (int64_t i = 0; i < p.numbers; ++i) {
            const int64_t at = product % p.pieces * p.numbers + i, channel = group * p.channels + at % p.channels;
            if (at >= p.run || channel >= dims[1]) continue;
            const float weight = weights[(channel * p.height + row) * width + at / p.channels];
            write(weight, own[i / together * lanes * together + i % together]);
        }
    }
}

template <AmxOrder O, class Number>
void pack(const std::vector<float>& weights, const dnnl::memory::dims& dims, int64_t lanes, std::byte* to) {
    const AmxProducts p = products_of(O, dims);
    const int64_t blocks = ceil_div(dims[0], lanes), tile = p.numbers * lanes, kernel = dims[1] * dims[2] * dims[3];
    std::memset(to, 0, bytes<O>(dims, lanes));
    auto* const sums = reinterpret_cast<int32_t*>(to + weight_bytes(O, dims, lanes));
    for (int64_t k = 0; k < dims[0]; ++k) {
        const int64_t block = k / lanes, pair = block / 2, abreast = std::min<int64_t>(2, blocks - pair * 2);
        auto* const own = reinterpret_cast<Number*>(to + pair * p.pair_bytes(lanes)) + block % 2 * tile +
                          k % lanes * kWordBytes / p.element;
        const float* const values = weights.data() + k * kernel;
        pack_channel(values, p, dims, lanes, abreast * tile, own);
        if constexpr (O == AmxOrder::bytes) {
            for (int64_t i = 0; i < kernel; ++i) {
                int8_t whole;
                write(values[i], whole);
                sums[k] += whole;
            }
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

const Packing& amx_packing(AmxOrder order) {
    switch (order) {
        case AmxOrder::planes: return kPacking<AmxOrder::planes>;
        case AmxOrder::block: return kPacking<AmxOrder::block>;
        case AmxOrder::pairs: return kPacking<AmxOrder::pairs>;
        default: return kBytePacking;
    }
}

}  // namespace yolo::program
