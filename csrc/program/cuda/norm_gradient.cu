// With g the gradient before the activation and x^ = (x - mean) * inverse: d weight = sum(g x^), d bias = sum(g), and
// dx = scale * (g - mean(g) - x^ * mean(g x^)).
#include <stdexcept>

#include "program/common/kinds.h"
#include "program/cuda/norm.h"
#include "program/cuda/tiles.h"

namespace yolo::program::cuda {
namespace {

// Maps that are added up.
template <class T>
struct SumOf {
    int count;
    Lines<const T> maps[kMostSources];

    YOLO_DEVICE Pack at(int64_t pixel, int channel) const {
        Pack sum = yolo::cuda::load(maps[0].at(pixel, channel));
        for (int k = 1; k < count; ++k) {
            const Pack added = yolo::cuda::load(maps[k].at(pixel, channel));
            for (int i = 0; i < kPack; ++i) sum.values[i] += added.values[i];
        }
        return sum;
    }
};

template <class T>
SumOf<T> sum_of(const std::vector<Map>& maps) {
    if (maps.empty() || maps.size() > kMostSources) throw std::invalid_argument("no maps to add up, or too many");
    SumOf<T> sum{static_cast<int>(maps.size()), {}};
    for (size_t k = 0; k < maps.size(); ++k) sum.maps[k] = lines<const T>(maps[k]);
    return sum;
}

// Sums of g, then of g * (x - centre).
using GradientSums = PlainSums<2 * kPack>;

template <int Quantities>
YOLO_DEVICE void write_partials(const PlainSums<Quantities * kPack>& sums, const Place& place, float* partials,
                                int64_t lanes) {
    float* const to = partials + place.strip * Quantities * lanes + place.channel;
    for (int q = 0; q < Quantities; ++q) {
        for (int i = 0; i < kPack; ++i) to[q * lanes + i] = sums.values[q * kPack + i];
    }
}

template <class T, Function F>
struct SumStrips {
    static constexpr int kThreads = Tiles::kThreads;
    Tiles tiles;
    Lines<const T> source;
    Lines<T> sum;  // its data may be null
    Affine affine;
    float* partials;  // [strips, 2, lanes]
    int64_t lanes, channels;
    float value;
    SumOf<T> gradients;

    YOLO_DEVICE void operator()(const Block& block) const {
        const Place place = tiles.place(block);
        GradientSums own;
        if (place.active) add_pixels(place, own);
        merge_rows(block, tiles, place.row, own);
        if (place.row == 0 && place.active) write_partials<2>(own, place, partials, lanes);
    }

    YOLO_DEVICE void add_pixels(const Place& place, GradientSums& own) const {
        const int c = place.channel;
        const int64_t left = channels - c;
        const Pack centre = channels_of(affine.centre, c, left, 0.0f), scale = channels_of(affine.scale, c, left, 1.0f);
        const Pack shift = channels_of(affine.shift, c, left, 0.0f);
        for (int64_t pixel = place.first; pixel < place.last; pixel += tiles.rows) {
            const Pack x = yolo::cuda::load(source.at(pixel, c)), g = gradients.at(pixel, c);
            if (sum.data != nullptr) yolo::cuda::store(sum.at(pixel, c), g, left);
            for (int i = 0; i < kPack; ++i) {
                const float apart = x.values[i] - centre.values[i];
                const float grad = g.values[i] * grad_at<F>(apart * scale.values[i] + shift.values[i], value);
                own.values[i] += grad;
                own.values[kPack + i] += grad * apart;
            }
        }
    }
};

template <class T>
struct SumPixels {
    static constexpr int kThreads = Tiles::kThreads;
    Tiles tiles;
    Lines<const T> gradient;
    float* partials;  // [strips, lanes]
    int64_t lanes;

    YOLO_DEVICE void operator()(const Block& block) const {
        const Place place = tiles.place(block);
        PlainSums<kPack> own;
        for (int64_t pixel = place.first; pixel < place.last; pixel += tiles.rows) {
            const Pack g = yolo::cuda::load(gradient.at(pixel, place.channel));
            for (int i = 0; i < kPack; ++i) own.values[i] += g.values[i];
        }
        merge_rows(block, tiles, place.row, own);
        if (place.row == 0 && place.active) write_partials<1>(own, place, partials, lanes);
    }
};

// What a source's gradient needs of the two sums of all pixels.
struct SettleGradients {
    double share;  // of one pixel in a mean
    BatchState state;

    YOLO_DEVICE void operator()(int64_t c, double sum, double product) const {
        const double inverse = state.inverse[c], scale = state.scale[c];
        state.along[c] = static_cast<float>(-scale * inverse * product * inverse * share);
        state.level[c] = static_cast<float>(-scale * sum * share);
    }
};

struct SettleSums {
    const double* sums;  // [2, channels]
    int64_t channels;
    SettleGradients settle;

    YOLO_DEVICE void operator()(int64_t c) const { settle(c, sums[c], sums[channels + c]); }
};

struct AddSums {
    static constexpr int kThreads = 256;
    const float* partials;
    int64_t strips, quantities, lanes, channels;
    float *bias, *weight;  // no weight: no batch norm
    double* sums;          // [2, channels], or null: to be settled here
    SettleGradients settle;

    YOLO_DEVICE void operator()(const Block& block) const {
        constexpr int kRows = kThreads / kColumns;
        const int64_t c = block.index() * kColumns + block.thread() % kColumns;
        const int row = block.thread() / kColumns;
        double sum = 0.0, product = 0.0;
        for (int64_t strip = row; strip < strips && c < channels; strip += kRows) {
            const float* const from = partials + strip * quantities * lanes + c;
            sum += from[0];
            if (weight != nullptr) product += from[lanes];
        }
        sum = sum_column(block, sum);
        block.sync();
        product = sum_column(block, product);
        if (row == 0 && c < channels) add(c, sum, product);
    }

    YOLO_DEVICE void add(int64_t c, double sum, double product) const {
        bias[c] += static_cast<float>(sum);
        if (weight == nullptr) return;
        weight[c] += static_cast<float>(product * static_cast<double>(settle.state.inverse[c]));
        if (sums == nullptr) return settle(c, sum, product);
        sums[c] = sum;
        sums[channels + c] = product;
    }
};

void add_sums(const Map& map, const float* partials, int64_t quantities, const ParameterGradients& to, Stream stream) {
    SettleGradients settle{1.0 / static_cast<double>(map.pixels()), {}};
    if (to.state != nullptr) settle.state = *to.state;
    const int64_t strips = sum_tiles(map).strips;
    const AddSums kernel{partials, strips, quantities, map.lanes(), map.channels, to.bias, to.weight, to.sums, settle};
    yolo::cuda::blocks(stream, (map.channels + kColumns - 1) / kColumns, AddSums::kThreads * sizeof(double), kernel);
}

template <class T, Function F>
struct SourceGradient {
    static constexpr int kThreads = Tiles::kThreads;
    Tiles tiles;
    Lines<const T> source;
    Lines<T> target;
    Affine affine;
    const float *along, *level;
    int64_t channels;
    float value;
    SumOf<T> gradients;

    YOLO_DEVICE void operator()(const Block& block) const {
        const Place place = tiles.place(block);
        if (!place.active) return;
        const int c = place.channel;
        const int64_t left = channels - c;
        const Pack centre = channels_of(affine.centre, c, left, 0.0f), scale = channels_of(affine.scale, c, left, 1.0f);
        const Pack shift = channels_of(affine.shift, c, left, 0.0f), slope = channels_of(along, c, left, 0.0f);
        const Pack constant = channels_of(level, c, left, 0.0f);
        for (int64_t pixel = place.first; pixel < place.last; pixel += tiles.rows) {
            Pack x = yolo::cuda::load(source.at(pixel, c));
            const Pack g = gradients.at(pixel, c);
            for (int i = 0; i < kPack; ++i) {
                const float apart = x.values[i] - centre.values[i];
                const float grad = g.values[i] * grad_at<F>(apart * scale.values[i] + shift.values[i], value);
                x.values[i] = grad * scale.values[i] + (apart * slope.values[i] + constant.values[i]);
            }
            yolo::cuda::store(target.at(pixel, c), x, left);
        }
    }
};

}  // namespace

size_t gradient_scratch_bytes(const Map& source) {
    return partial_bytes(source, 2);
}

void add_parameter_gradients(const Map& source, const std::vector<Map>& gradients, const Map* sum,
                             const Affine& affine, const Activation& activation, const ParameterGradients& to,
                             float* scratch, Stream stream) {
    const Tiles tiles = sum_tiles(source);
    yolo::cuda::with_type(source.number, [&](auto type) {
        with_function(activation.function, [&](auto function) {
            using T = decltype(type);
            SumStrips<T, decltype(function)::function> kernel{
                tiles, lines<const T>(source), {nullptr, 0}, affine, scratch, source.lanes(), source.channels,
                activation.value, sum_of<T>(gradients)};
            if (sum != nullptr) kernel.sum = lines<T>(*sum);
            yolo::cuda::blocks(stream, tiles.blocks(), GradientSums::kSize * Tiles::kThreads * sizeof(float), kernel);
        });
    });
    add_sums(source, scratch, 2, to, stream);
}

void settle_gradients(const Map& source, int ranks, const double* sums, const BatchState& state, Stream stream) {
    const double pixels = static_cast<double>(source.pixels()) * ranks;
    yolo::cuda::each(stream, source.channels, SettleSums{sums, source.channels, {1.0 / pixels, state}});
}

void write_source_gradient(const Map& source, const std::vector<Map>& gradients, const Affine& affine,
                           const Activation& activation, const BatchState* state, const Map& target, Stream stream) {
    const Tiles tiles = each_tiles(source);
    yolo::cuda::with_type(source.number, [&](auto type) {
        with_function(activation.function, [&](auto function) {
            using T = decltype(type);
            SourceGradient<T, decltype(function)::function> kernel{
                tiles, lines<const T>(source), lines<T>(target), affine, nullptr, nullptr, source.channels,
                activation.value, sum_of<T>(gradients)};
            if (state != nullptr) kernel.along = state->along, kernel.level = state->level;
            yolo::cuda::blocks(stream, tiles.blocks(), 0, kernel);
        });
    });
}

size_t bias_gradient_scratch_bytes(const Map& gradient) {
    return partial_bytes(gradient, 1);
}

void add_bias_gradient(const Map& gradient, float* bias, float* scratch, Stream stream) {
    const Tiles tiles = sum_tiles(gradient);
    yolo::cuda::with_type(gradient.number, [&](auto type) {
        using T = decltype(type);
        const SumPixels<T> kernel{tiles, lines<const T>(gradient), scratch, gradient.lanes()};
        yolo::cuda::blocks(stream, tiles.blocks(), kPack * Tiles::kThreads * sizeof(float), kernel);
    });
    add_sums(gradient, scratch, 1, {bias}, stream);
}

}  // namespace yolo::program::cuda
