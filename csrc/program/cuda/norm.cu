// The statistics of a batch (Ioffe and Szegedy 2015): means and squares around them, merged from threads to blocks to
// the whole, so that no digits are lost where a mean is far from 0 (Chan, Golub and LeVeque 1979).
#include <algorithm>
#include <cmath>

#include "program/cuda/norm.h"
#include "program/cuda/tiles.h"

namespace yolo::program::cuda {
namespace {

// Of some pixels: means, sums of the squares around them, and at the end how many pixels.
struct Moments {
    static constexpr int kSize = 2 * kPack + 1;
    float values[kSize] = {};

    YOLO_DEVICE void add(const Pack& x) {
        const float count = values[2 * kPack] += 1.0f, share = 1.0f / count;
        for (int i = 0; i < kPack; ++i) {
            const float before = x.values[i] - values[i];
            values[i] += before * share;
            values[kPack + i] += before * (x.values[i] - values[i]);
        }
    }
    YOLO_DEVICE void merge(const Moments& other) {
        const float count = values[2 * kPack] + other.values[2 * kPack];
        if (other.values[2 * kPack] == 0.0f) return;
        const float share = other.values[2 * kPack] / count, weight = values[2 * kPack] * share;
        for (int i = 0; i < kPack; ++i) {
            const float apart = other.values[i] - values[i];
            values[i] += apart * share;
            values[kPack + i] += other.values[kPack + i] + apart * apart * weight;
        }
        values[2 * kPack] = count;
    }
};

template <class T>
struct MeasureStrips {
    static constexpr int kThreads = Tiles::kThreads;
    Tiles tiles;
    Lines<const T> source;
    float* partials;  // [strips, 2, lanes]: means, squares
    int64_t lanes;

    YOLO_DEVICE void operator()(const Block& block) const {
        const Place place = tiles.place(block);
        Moments own;
        for (int64_t pixel = place.first; pixel < place.last; pixel += tiles.rows) {
            own.add(yolo::cuda::load(source.at(pixel, place.channel)));
        }
        merge_rows(block, tiles, place.row, own);
        if (place.row != 0 || !place.active) return;
        float* const to = partials + place.strip * 2 * lanes + place.channel;
        for (int i = 0; i < kPack; ++i) {
            to[i] = own.values[i];
            to[lanes + i] = own.values[kPack + i];
        }
    }
};

// On a GPU by a step of Newton's, without the calls that a root and a division take.
YOLO_DEVICE double inverse_root(double x) {
#ifdef __CUDA_ARCH__
    const double near = rsqrtf(static_cast<float>(x));
    return near * (1.5 - 0.5 * x * near * near);
#else
    return 1.0 / sqrt(x);
#endif
}

// What a channel's mean and its sum of squares around it make.
struct Settle {
    double share, unbiased_share;  // of one pixel in a mean, and in a variance that is not biased
    NormValues values;
    BatchState state;

    Settle(double pixels, const NormValues& values, const BatchState& state)
        : share(1.0 / pixels), unbiased_share(1.0 / std::max(1.0, pixels - 1.0)), values(values), state(state) {}

    YOLO_DEVICE void operator()(int64_t c, double mean, double squares) const {
        const double momentum = values.momentum, unbiased = squares * unbiased_share;
        values.mean[c] = static_cast<float>((1.0 - momentum) * values.mean[c] + momentum * mean);
        values.variance[c] = static_cast<float>((1.0 - momentum) * values.variance[c] + momentum * unbiased);
        const auto inverse = static_cast<float>(inverse_root(squares * share + values.eps));
        state.centre[c] = static_cast<float>(mean);
        state.inverse[c] = inverse;
        state.scale[c] = values.weight[c] * inverse;
        state.shift[c] = values.bias[c];
    }
};

// Gives to(channel, mean, squares around it) what the strips make together.
template <class To>
struct JoinStrips {
    static constexpr int kThreads = 256;
    Tiles tiles;
    double share;  // of one pixel in a mean
    const float* partials;
    int64_t lanes, channels;
    To to;

    YOLO_DEVICE void operator()(const Block& block) const {
        constexpr int kRows = kThreads / kColumns;
        const int64_t c = block.index() * kColumns + block.thread() % kColumns;
        const int row = block.thread() / kColumns;
        const int64_t strips = c < channels ? tiles.strips : 0;
        double sum = 0.0, squares = 0.0;
        for (int64_t strip = row; strip < strips; strip += kRows) {
            sum += static_cast<double>(tiles.pixels_of(strip)) * partials[strip * 2 * lanes + c];
        }
        const double mean = sum_column(block, sum) * share;
        for (int64_t strip = row; strip < strips; strip += kRows) {
            const double apart = partials[strip * 2 * lanes + c] - mean;
            squares += partials[(strip * 2 + 1) * lanes + c] +
                       static_cast<double>(tiles.pixels_of(strip)) * apart * apart;
        }
        block.sync();
        squares = sum_column(block, squares);
        if (row == 0 && c < channels) to(c, mean, squares);
    }
};

// Plain sums, which add up over ranks.
struct WriteSums {
    double pixels;
    double* sums;  // [2, channels]
    int64_t channels;

    YOLO_DEVICE void operator()(int64_t c, double mean, double squares) const {
        sums[c] = mean * pixels;
        sums[channels + c] = squares + mean * mean * pixels;
    }
};

struct SettleSums {
    const double* sums;  // [2, channels]
    int64_t channels;
    Settle settle;

    YOLO_DEVICE void operator()(int64_t c) const {
        const double mean = sums[c] * settle.share, squares = sums[channels + c] - sums[c] * mean;
        settle(c, mean, squares < 0.0 ? 0.0 : squares);
    }
};

template <class To>
void measure_into(const To& to, const Map& source, float* scratch, Stream stream) {
    const Tiles tiles = sum_tiles(source);
    yolo::cuda::with_type(source.number, [&](auto type) {
        using T = decltype(type);
        const MeasureStrips<T> kernel{tiles, lines<const T>(source), scratch, source.lanes()};
        yolo::cuda::blocks(stream, tiles.blocks(), Moments::kSize * Tiles::kThreads * sizeof(float), kernel);
    });
    const double share = 1.0 / static_cast<double>(tiles.pixels);
    const JoinStrips<To> kernel{tiles, share, scratch, source.lanes(), source.channels, to};
    yolo::cuda::blocks(stream, (source.channels + kColumns - 1) / kColumns, kernel.kThreads * sizeof(double), kernel);
}

}  // namespace

size_t measure_scratch_bytes(const Map& source) {
    return partial_bytes(source, 2);
}

void measure(const Map& source, const NormValues& values, const BatchState& state, float* scratch, Stream stream) {
    measure_into(Settle(static_cast<double>(source.pixels()), values, state), source, scratch, stream);
}

void sum_moments(const Map& source, double* sums, float* scratch, Stream stream) {
    measure_into(WriteSums{static_cast<double>(source.pixels()), sums, source.channels}, source, scratch, stream);
}

void settle_moments(const Map& source, int ranks, const double* sums, const NormValues& values, const BatchState& state,
                    Stream stream) {
    const Settle settle(static_cast<double>(source.pixels()) * ranks, values, state);
    yolo::cuda::each(stream, source.channels, SettleSums{sums, source.channels, settle});
}

}  // namespace yolo::program::cuda
