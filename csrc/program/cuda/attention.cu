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
    int image, head, token, channel;
};

template <class T>
struct Maps {
    Pixels<T> query, key, value;
    int heads, width, tiles, chunks;
    float scale;

    explicit Maps(const Attended& from)
        : query(from.query), key(from.key), value(from.value), heads(static_cast<int>(from.heads)),
          width(static_cast<int>(from.query.channels) / heads),
          tiles(static_cast<int>((from.query.height * from.query.width + kTile - 1) / kTile)),
          chunks((width + kTile - 1) / kTile), scale(1.0f / sqrtf(static_cast<float>(width))) {}

    // Below 2^31.
    int64_t blocks(int64_t images) const { return images * heads * tiles * chunks; }

    YOLO_DEVICE Place place(int64_t index) const {
        const int number = static_cast<int>(index), tile = number / chunks, head = tile / tiles;
        return {head / heads, head % heads, tile % tiles * kTile, number % chunks * kTile};
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

// Of the head's tokens: rows are [images, heads, tokens].
template <class T>
YOLO_DEVICE int64_t first_row(const Maps<T>& from, const Place& place) {
    return (int64_t{place.image} * from.heads + place.head) * from.query.height * from.query.width;
}

template <class T>
struct FindRows {
    static constexpr int kThreads = tiles::kThreads;
    Maps<T> from;
    Pixels<T> gradient;
    Row* rows;

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
        Row* const to = rows + first_row(from, place);
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
};

YOLO_DEVICE Row row_at(const Row* rows, int token, int tokens) {
    return token < tokens ? rows[token] : Row{0.0f, INFINITY, 0.0f, 0.0f};  // behind the last, weights are zeros
}

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
        const Row* const all_rows = all.rows + first_row(from, place);
        Row rows[kFour];
        for (int i = 0; i < kFour; ++i) rows[i] = row_at(all_rows, place.token + row_of(block) + i, query.tokens);
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
        const Row* const rows = all.rows + first_row(from, place);
        Micro key_sums{}, value_sums{};
        for (int token = 0; token < query.tokens; token += kTile) {
            // One product after the other, so that all fits into 128 registers.
            Micro weights = products(block, key, place.token, query, token);
            for (int j = 0; j < kFour; ++j) {
                const int column = token + column_of(block) + j;
                const Row row = row_at(rows, column, query.tokens);
                for (int i = 0; i < kFour; ++i) {
                    const float weight = row.weight(weights.at[i][j], from.scale);
                    weights.at[i][j] = column < query.tokens ? weight : 0.0f;
                }
            }
            accumulate(block, weights, slope, token, place.channel, value_sums);
            const Micro slopes = products(block, value, place.token, slope, token);
            for (int j = 0; j < kFour; ++j) {
                const float mean = row_at(rows, token + column_of(block) + j, query.tokens).mean;
                for (int i = 0; i < kFour; ++i) weights.at[i][j] *= (slopes.at[i][j] - mean) * from.scale;
            }
            accumulate(block, weights, query, token, place.channel, key_sums);
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
        const KeyValueGradient<T> of_keys{all, Pixels<T>(to.key), Pixels<T>(to.value)};
        yolo::cuda::blocks(stream, count, kSharedBytes, of_keys);
    });
}

}  // namespace yolo::program::cuda
