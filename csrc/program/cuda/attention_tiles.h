// Products of small tiles, by which the kernels of attention go through a head: a block's 256 threads lie in 16 rows of
// 16, and each keeps 4 x 4 numbers of a tile of 64 x 64 in registers.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "cuda/kernel.h"
#include "cuda/map.h"

namespace yolo::program::cuda::tiles {

using yolo::cuda::Block;
using yolo::cuda::kPack;
using yolo::cuda::Pack;
using yolo::cuda::Pixels;

constexpr int kThreads = 256;
constexpr int kSide = 16;              // threads in a row, and rows of threads
constexpr int kFour = 4;               // numbers of a thread in each direction
constexpr int kTile = kSide * kFour;   // tokens of a tile, and channels of one that is written
constexpr int kDepth = 32;             // channels that a product of two tiles takes at once
constexpr int kWeightRow = kTile + 4;  // floats from a row of weights to the next, so that 8 rows lie in different banks

// Shared memory, in floats: two slices [kDepth, kTile] of channels by tokens, in whose place the weights then lie, and
// behind them a tile [kTile, kTile] of tokens by channels.
constexpr int kRows = kTile * kWeightRow;
constexpr size_t kSharedBytes = (kRows + kTile * kTile) * sizeof(float);
static_assert(2 * kDepth * kTile <= kRows && kThreads * kPack == kDepth * kTile);

struct alignas(16) Four {
    float values[kFour];
};

// Numbers of a thread: its rows, then its columns.
struct Micro {
    float at[kFour][kFour];
};

YOLO_DEVICE int row_of(const Block& block) {
    return block.thread() / kSide * kFour;
}

YOLO_DEVICE int column_of(const Block& block) {
    return block.thread() % kSide * kFour;
}

// One head of one image: its tokens' channels. Zeros lie behind the last token and the last channel.
template <class T>
struct Head {
    T* first;
    int64_t pitch;
    int tokens, width;

    YOLO_DEVICE Head(const Pixels<T>& map, int64_t image, int64_t head, int channels)
        : first(map.at(image * map.height * map.width, head * channels)), pitch(map.pitch),
          tokens(static_cast<int>(map.height * map.width)), width(channels) {}

    YOLO_DEVICE T* at(int token, int channel) const { return first + token * pitch + channel; }

    YOLO_DEVICE Pack pack(int token, int channel) const {
        Pack found{};
        if (token >= tokens || channel >= width) return found;
        const T* const from = at(token, channel);
        if (width % kPack == 0) return yolo::cuda::load(from);
        for (int i = 0; i < kPack; ++i) found.values[i] = channel + i < width ? yolo::cuda::to_float(from[i]) : 0.0f;
        return found;
    }

    // A thread's part of a tile.
    YOLO_DEVICE void store(const Block& block, int token, int channel, const Micro& tile) const {
        for (int i = 0; i < kFour; ++i) {
            const int row = token + row_of(block) + i;
            if (row >= tokens) continue;
            for (int j = 0; j < kFour; ++j) {
                const int column = channel + column_of(block) + j;
                if (column < width) *at(row, column) = yolo::cuda::rounded<T>(tile.at[i][j]);
            }
        }
    }
};

YOLO_DEVICE void multiply(Micro& sums, const Four& left, const Four& right) {
    for (int i = 0; i < kFour; ++i) {
        for (int j = 0; j < kFour; ++j) sums.at[i][j] += left.values[i] * right.values[j];
    }
}

YOLO_DEVICE const Four& four(const float* from) {
    return *reinterpret_cast<const Four*>(from);
}

// Channels by tokens: neighbours take neighbouring tokens, so that no two write into one bank.
template <class T>
YOLO_DEVICE void load_slice(const Block& block, const Head<T>& head, int token, int channel, float* to) {
    const int column = block.thread() % kTile, row = block.thread() / kTile * static_cast<int>(kPack);
    const Pack pack = head.pack(token + column, channel + row);
    for (int i = 0; i < kPack; ++i) to[(row + i) * kTile + column] = pack.values[i];
}

// Tokens by channels, as they lie in the map.
template <class T>
YOLO_DEVICE void load_rows(const Block& block, const Head<T>& head, int token, int channel, float* to) {
    constexpr int kPacks = kTile / kPack;
    for (int i = block.thread(); i < kTile * kPacks; i += kThreads) {
        const int row = i / kPacks, column = i % kPacks * static_cast<int>(kPack);
        const Pack pack = head.pack(token + row, channel + column);
        for (int k = 0; k < kPack; ++k) to[row * kTile + column + k] = pack.values[k];
    }
}

// Tokens of `left` from `row` on times those of `right` from `column` on, over all channels.
template <class T>
YOLO_DEVICE Micro products(const Block& block, const Head<T>& left, int row, const Head<T>& right, int column) {
    float *const lefts = block.shared<float>(), *const rights = lefts + kDepth * kTile;
    Micro sums{};
    for (int channel = 0; channel < left.width; channel += kDepth) {
        block.sync();  // all have read what lay there
        load_slice(block, left, row, channel, lefts);
        load_slice(block, right, column, channel, rights);
        block.sync();
        const int depth = left.width - channel < kDepth ? left.width - channel : kDepth;
        for (int k = 0; k < depth; ++k) {
            multiply(sums, four(lefts + k * kTile + row_of(block)), four(rights + k * kTile + column_of(block)));
        }
    }
    return sums;
}

// Adds to `sums` a tile of weights times the tokens of `head` from `token` on, 64 channels from `channel` on. A weight's
// row is the sum's token, its column the token of `head`.
template <class T>
YOLO_DEVICE void accumulate(const Block& block, const Micro& weights, const Head<T>& head, int token, int channel,
                            Micro& sums) {
    float *const columns = block.shared<float>(), *const rows = columns + kRows;
    block.sync();
    // Column 4 x + j of the weights lies in row 16 j + x here: neighbours write side by side.
    for (int j = 0; j < kFour; ++j) {
        Four column;
        for (int i = 0; i < kFour; ++i) column.values[i] = weights.at[i][j];
        const int row = j * kSide + block.thread() % kSide;
        *reinterpret_cast<Four*>(columns + row * kWeightRow + row_of(block)) = column;
    }
    load_rows(block, head, token, channel, rows);
    block.sync();
    for (int j = 0; j < kFour; ++j) {
        for (int x = 0; x < kSide; ++x) {
            multiply(sums, four(columns + (j * kSide + x) * kWeightRow + row_of(block)),
                     four(rows + (x * kFour + j) * kTile + column_of(block)));
        }
    }
}

// Over the 16 threads that have a row together.
YOLO_DEVICE float row_sum(const Block& block, float value) {
    for (int mask = kSide / 2; mask > 0; mask /= 2) value += block.shuffle_xor(value, mask);
    return value;
}

YOLO_DEVICE float row_max(const Block& block, float value) {
    for (int mask = kSide / 2; mask > 0; mask /= 2) value = fmaxf(value, block.shuffle_xor(value, mask));
    return value;
}

// The softmax of rows that become known tile by tile: the largest logit, and the sum of exp(scale (logit - largest)).
struct Softmax {
    float scale;
    float largest[kFour], total[kFour];

    YOLO_DEVICE explicit Softmax(float factor) : scale(factor) {
        for (int i = 0; i < kFour; ++i) largest[i] = -INFINITY, total[i] = 0.0f;
    }

    // What logits of row i are reduced by: never the difference of two infinities where all of them are -inf so far.
    YOLO_DEVICE float base(int i) const { return largest[i] == -INFINITY ? 0.0f : largest[i]; }

    // Makes weights of the logits of `count` more columns, zeros of those behind; `factors`: by what earlier weights of
    // each row are to be multiplied.
    YOLO_DEVICE void add(const Block& block, int count, Micro& logits, float (&factors)[kFour]) {
        for (int i = 0; i < kFour; ++i) {
            float most = largest[i];
            for (int j = 0; j < kFour; ++j) {
                if (column_of(block) + j >= count) logits.at[i][j] = -INFINITY;
                most = fmaxf(most, logits.at[i][j]);
            }
            const float before = largest[i];
            largest[i] = row_max(block, most);
            factors[i] = expf((before - base(i)) * scale);
            float sum = 0.0f;
            for (int j = 0; j < kFour; ++j) {
                logits.at[i][j] = expf((logits.at[i][j] - base(i)) * scale);
                sum += logits.at[i][j];
            }
            total[i] = total[i] * factors[i] + row_sum(block, sum);
        }
    }
};

}  // namespace yolo::program::cuda::tiles
