#include "program/cpu/amx_weights.h"

#include <algorithm>
#include <cstring>

namespace yolo::program {
namespace {

// Numbers of a tile's row.
constexpr int64_t kMostNumbers = 32;

// To the nearest, ties to even.
uint16_t bfloat16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

AmxProducts products_of(AmxSource source, const dnnl::memory::dims& dims) {
    return {source, dims[1], dims[2], dims[3]};
}

template <AmxSource S>
size_t bytes(const dnnl::memory::dims& dims, int64_t lanes) {
    const AmxProducts p = products_of(S, dims);
    return static_cast<size_t>((dims[0] + lanes - 1) / lanes * lanes * p.count() * p.depth());
}

template <AmxSource S>
void pack(const std::vector<float>& weights, const dnnl::memory::dims& dims, int64_t lanes, std::byte* to) {
    const AmxProducts p = products_of(S, dims);
    const int64_t source = dims[1], width = dims[3], blocks = (dims[0] + lanes - 1) / lanes;
    std::memset(to, 0, bytes<S>(dims, lanes));
    auto* const numbers = reinterpret_cast<uint16_t*>(to);
    const int64_t tile = p.numbers * lanes;
    for (int64_t k = 0; k < dims[0]; ++k) {
        const int64_t block = k / lanes, pair = block / 2, abreast = std::min<int64_t>(2, blocks - pair * 2);
        uint16_t* const own = numbers + pair * 2 * p.count() * tile + block % 2 * tile + k % lanes * 2;
        for (int64_t product = 0; product < p.count(); ++product) {
            const int64_t group = product / (p.height * p.pieces), row = product / p.pieces % p.height;
            for (int64_t i = 0; i < p.columns * p.channels; ++i) {
                const int64_t column = product % p.pieces * p.columns + i / p.channels;
                const int64_t channel = group * p.channels + i % p.channels;
                if (column >= width || channel >= source) continue;
                const float weight = weights[((k * source + channel) * p.height + row) * width + column];
                own[product * abreast * tile + i / 2 * lanes * 2 + i % 2] = bfloat16(weight);
            }
        }
    }
}

template <AmxSource S>
constexpr Packing kPacking{bytes<S>, pack<S>};

int64_t channels_of(AmxSource source) {
    return source == AmxSource::planes ? 1 : source == AmxSource::block ? kMostNumbers / 2 : kMostNumbers;
}

}  // namespace

AmxSource amx_source(const TensorView& source, bool one_by_one) {
    if (source.layout == Layout::nchw) return AmxSource::planes;
    return one_by_one || source.channels <= kMostNumbers / 2 ? AmxSource::block : AmxSource::pairs;
}

AmxProducts::AmxProducts(AmxSource source, int64_t all, int64_t rows, int64_t width)
    : channels(channels_of(source)),
      groups((all + channels - 1) / channels),
      height(rows),
      columns(std::min(width, kMostNumbers / channels)) {
    pieces = (width + columns - 1) / columns;
    numbers = (columns * channels + 1) / 2 * 2;
}

const Packing& amx_packing(AmxSource source) {
    switch (source) {
        case AmxSource::planes: return kPacking<AmxSource::planes>;
        case AmxSource::block: return kPacking<AmxSource::block>;
        default: return kPacking<AmxSource::pairs>;
    }
}

}  // namespace yolo::program
