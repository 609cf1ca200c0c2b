#include "program/cuda/attention.h"

#include "program/cuda/attention_tiles.h"

namespace yolo::program::cuda {
namespace {

using namespace tiles;
using yolo::cuda::Map;
using yolo::cuda::Stream;
using yolo::cuda::with_type;

// What a block does: 64 tokens from `token` on of one head, and of what it writes 64 channels from `channel` on. (Wider
// heads have several blocks, each of which finds the weights for itself.)
struct Place {
    int64_t image, head;
    int token, channel;
};

template <class T>
struct Maps {
    Pixels<T> query, key, value;
    int64_t heads;
    int width, tiles, chunks;
    float scale;

    explicit Maps(const Attended& from)
        : query(from.query), key(from.key), value(from.value), heads(from.heads),
          width(static_cast<int>(from.query.channels / from.heads)),
          tiles(static_cast<int>((from.query.height * from.query.width + kTile - 1) / kTile)),
          chunks((width + kTile - 1) / kTile), scale(1.0f / sqrtf(static_cast<float>(width))) {}

    int64_t blocks(int64_t images) const { return images * heads * tiles * chunks; }

    YOLO_DEVICE Place place(int64_t index) const {
        const int64_t tile = index / chunks, head = tile / tiles;
        return {head / heads, head % heads, static_cast<int>(tile % tiles) * kTile,
                static_cast<int>(index % chunks) * kTile};
    }
    YOLO_DEVICE Head<T> head(const Pixels<T>& map, const Place& place) const {
        return Head<T>(map, place.image, place.head, width);
    }
    // Writes a tile, and zeros in the lanes behind the last channel.
    YOLO_DEVICE void store(const Block& block, const Pixels<T>& map, const Place& place, const Micro& tile) const {
        const Head<T> to = head(map, place);
        to.store(block, place.token, place.channel, tile);
        if (place.head + 1 < heads || place.channel + kTile < width) return;
        const int behind = static_cast<int>(map.lanes - map.channels);
        for (int i = block.thread(); i < kTile * behind; i += tiles::kThreads) {
            const int token = place.token + i / behind;
            if (token < to.tokens) *to.at(token, width + i % behind) = yolo::cuda::rounded<T>(0.0f);
        }
    }
};

template <class T>
struct Attend {
    static constexpr int kThreads = tiles::kThreads;
    Maps<T> from;
    Pixels<T> target;

    YOLO_DEVICE void operator()(const Block& block) const {
        const Place place = from.place(block.index());
        const Head<T> query = from.head(from.query, place), key = from.head(from.key, place);
        const Head<T> value = from.head(from.value, place);
        Softmax softmax(from.scale);
        Micro sums{};
        for (int token = 0; token < key.tokens; token += kTile) {
            Micro weights = products(block, query, place.token, key, token);
            float factors[kFour];
            softmax.add(block, key.tokens - token, weights, factors);
            for (int i = 0; i < kFour; ++i) {
                for (int j = 0; j < kFour; ++j) sums.at[i][j] *= factors[i];
            }
            accumulate(block, weights, value, token, place.channel, sums);
        }
        for (int i = 0; i < kFour; ++i) {
            for (int j = 0; j < kFour; ++j) sums.at[i][j] /= softmax.total[i];
        }
        from.store(block, target, place, sums);
    }
};

// Of one query: how its weights follow from its logits, and the mean of their gradients.
struct alignas(16) Row {
    float largest, total, mean, unused;

    YOLO_DEVICE float weight(float logit, float scale) const { return expf((logit - largest) * scale) / total; }
};

template <class T>
struct FindRows {
    static constexpr int kThreads = tiles::kThreads;
    Maps<T> from;
    Pixels<T> gradient;
    Row* rows;  // [images, heads, tokens]

    YOLO_DEVICE void operator()(const Block& block) const {
        const Place place = from.place(block.index() * from.chunks);
        const Head<T> query = from.head(from.query, place), key = from.head(from.key, place);
        const Head<T> value = from.head(from.value, place), slope = from.head(gradient, place);
        Softmax softmax(from.scale);
        float means[kFour] = {};
        for (int token = 0; token < key.tokens; token += kTile) {
            Micro weights = products(block, query, place.token, key, token);
            const Micro slopes = products(block, slope, place.token, value, token);
            float factors[kFour];
            softmax.add(block, key.tokens - token, weights, factors);
            for (int i = 0; i < kFour; ++i) {
                float sum = 0.0f;
                for (int j = 0; j < kFour; ++j) sum += weights.at[i][j] * slopes.at[i][j];
                means[i] = means[i] * factors[i] + row_sum(block, sum);
            }
        }
        Row* const to = rows + (place.image * from.heads + place.head) * query.tokens;
        for (int i = 0; i < kFour; ++i) {
            const int token = place.token + row_of(block) + i;
            if (column_of(block) != 0 || token >= query.tokens) continue;
            to[token] = {softmax.base(i), softmax.total[i], means[i] / softmax.total[i], 0.0f};
        }
    }
};

// What both passes of the gradient start with.
template <class T>
struct Backward {
    Maps<T> from;
    Pixels<T> gradient;
    const Row* rows;

    YOLO_DEVICE Row row(const Place& place, int token, int tokens) const {
        if (token >= tokens) return {0.0f, INFINITY, 0.0f, 0.0f};  // its weights are zeros
        return rows[(place.image * from.heads + place.head) * tokens + token];
    }
};

template <class T>
struct QueryGradient {
    static constexpr int kThreads = tiles::kThreads;
    Backward<T> all;
    Pixels<T> target;

    YOLO_DEVICE void operator()(const Block& block) const {
        const Maps<T>& from = all.from;
        const Place place = from.place(block.index());
        const Head<T> query = from.head(from.query, place), key = from.head(from.key, place);
        const Head<T> value = from.head(from.value, place), slope = from.head(all.gradient, place);
        Row rows[kFour];
        for (int i = 0; i < kFour; ++i) rows[i] = all.row(place, place.token + row_of(block) + i, query.tokens);
        Micro sums{};
        for (int token = 0; token < key.tokens; token += kTile) {
            Micro weights = products(block, query, place.token, key, token);
            const Micro slopes = products(block, slope, place.token, value, token);
            for (int i = 0; i < kFour; ++i) {
                for (int j = 0; j < kFour; ++j) {
                    const float weight = rows[i].weight(weights.at[i][j], from.scale);
                    const bool there = token + column_of(block) + j < key.tokens;
                    weights.at[i][j] = there ? weight * (slopes.at[i][j] - rows[i].mean) * from.scale : 0.0f;
                }
            }
            accumulate(block, weights, key, token, place.channel, sums);
        }
        from.store(block, target, place, sums);
    }
};

// Of keys and values: rows of its tiles are keys, their columns queries.
template <class T>
struct KeyValueGradient {
    static constexpr int kThreads = tiles::kThreads;
    Backward<T> all;
    Pixels<T> to_key, to_value;

    YOLO_DEVICE void operator()(const Block& block) const {
        const Maps<T>& from = all.from;
        const Place place = from.place(block.index());
        const Head<T> query = from.head(from.query, place), key = from.head(from.key, place);
        const Head<T> value = from.head(from.value, place), slope = from.head(all.gradient, place);
        Micro key_sums{}, value_sums{};
        for (int token = 0; token < query.tokens; token += kTile) {
            Micro weights = products(block, key, place.token, query, token);
            Micro slopes = products(block, value, place.token, slope, token);
            for (int j = 0; j < kFour; ++j) {
                const int column = token + column_of(block) + j;
                const Row row = all.row(place, column, query.tokens);
                for (int i = 0; i < kFour; ++i) {
                    const float weight = column < query.tokens ? row.weight(weights.at[i][j], from.scale) : 0.0f;
                    weights.at[i][j] = weight;
                    slopes.at[i][j] = weight * (slopes.at[i][j] - row.mean) * from.scale;
                }
            }
            accumulate(block, weights, slope, token, place.channel, value_sums);
            accumulate(block, slopes, query, token, place.channel, key_sums);
        }
        from.store(block, to_value, place, value_sums);
        from.store(block, to_key, place, key_sums);
    }
};

}  // namespace

void attend(const Attended& from, const Map& target, Stream stream) {
    with_type(target.number, [&](auto type) {
        using T = decltype(type);
        const Maps<T> maps(from);
        yolo::cuda::blocks(stream, maps.blocks(target.images), kSharedBytes, Attend<T>{maps, Pixels<T>(target)});
    });
}

size_t attend_back_scratch_bytes(const Attended& from) {
    return static_cast<size_t>(from.query.pixels() * from.heads) * sizeof(Row);
}

void attend_back(const Attended& from, const Map& gradient, const AttendedGradients& to, void* scratch, Stream stream) {
    with_type(gradient.number, [&](auto type) {
        using T = decltype(type);
        const Maps<T> maps(from);
        const int64_t count = maps.blocks(gradient.images);
        auto* const rows = static_cast<Row*>(scratch);
        const Pixels<T> slope(gradient);
        const Backward<T> all{maps, slope, rows};
        yolo::cuda::blocks(stream, count / maps.chunks, kSharedBytes, FindRows<T>{maps, slope, rows});
        yolo::cuda::blocks(stream, count, kSharedBytes, QueryGradient<T>{all, Pixels<T>(to.query)});
        yolo::cuda::blocks(stream, count, kSharedBytes, KeyValueGradient<T>{all, Pixels<T>(to.key), Pixels<T>(to.value)});
    });
}

}  // namespace yolo::program::cuda
