// How blocks share a map: side by side a pack of channels a thread, below one another the pixels. A thread stays with
// its channels, so that what belongs to them stays in registers, and sums over pixels are made without exchanges first.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda/kernel.h"
#include "cuda/map.h"

namespace yolo::program::cuda {

using yolo::cuda::Block;
using yolo::cuda::kPack;
using yolo::cuda::Map;
using yolo::cuda::Pack;

// A thread's part of a map: channels from `channel` on, of the pixels first, first + rows, ... below last: none where
// there is nothing left for it.
struct Place {
    int64_t first, last, strip;
    int channel, row;
    bool active;
};

// The split depends on the map alone, not on the device, and with it the order of all sums.
struct Tiles {
    static constexpr int kThreads = 256, kWidest = 32;
    int64_t pixels, strip, strips;
    int packs, groups, width, rows;

    // About `blocks` blocks where each thread then has `least` to `most` pixels.
    Tiles(const Map& map, int64_t blocks, int64_t least, int64_t most)
        : pixels(map.pixels()), packs(static_cast<int>(map.lanes() / kPack)), groups((packs + kWidest - 1) / kWidest),
          width((packs + groups - 1) / groups), rows(kThreads / width) {
        const int64_t together = rows * std::max<int64_t>(1, blocks / groups);
        strip = rows * std::clamp((pixels + together - 1) / together, least, most);
        strips = (pixels + strip - 1) / strip;
    }
    int64_t blocks() const { return strips * groups; }

    YOLO_DEVICE int64_t pixels_of(int64_t number) const {
        const int64_t left = pixels - number * strip;
        return left < strip ? left : strip;
    }
    YOLO_DEVICE Place place(const Block& block) const {
        const int group = static_cast<int>(block.index() % groups), pack = group * width + block.thread() % width;
        Place place;
        place.strip = block.index() / groups;
        place.row = block.thread() / width;
        place.channel = pack * static_cast<int>(kPack);
        place.active = place.row < rows && pack < packs;
        place.first = place.strip * strip + place.row;
        place.last = place.active ? place.strip * strip + pixels_of(place.strip) : 0;
        return place;
    }
};

// A map as kernels take several of: where its pixels lie.
template <class T>
struct Lines {
    T* data;
    int64_t pitch;

    YOLO_DEVICE T* at(int64_t pixel, int channel) const { return data + pixel * pitch + channel; }
};

template <class T>
Lines<T> lines(const Map& map) {
    return {static_cast<T*>(map.data), map.pitch};
}

// `count` numbers, one a channel, or `other` where there are none at all.
YOLO_DEVICE Pack channels_of(const float* from, int channel, int64_t count, float other) {
    Pack pack;
    if (from != nullptr && count >= kPack && reinterpret_cast<uintptr_t>(from) % 16 == 0) {
        return yolo::cuda::load(from + channel);
    }
    for (int i = 0; i < kPack; ++i) pack.values[i] = from != nullptr && i < count ? from[channel + i] : other;
    return pack;
}

// Sums of one thread, made those of all of its block's rows, for row 0. Sums: float values[kSize] and merge(another).
// `shared`: kSize * kThreads floats, once.
template <class Sums>
YOLO_DEVICE void merge_rows(const Block& block, const Tiles& tiles, int row, Sums& own) {
    float* const told = block.shared<float>();
    int half = Tiles::kThreads;
    while (half >= tiles.rows) half /= 2;
    for (; half > 0; half /= 2) {
        if (row >= half && row < 2 * half && row < tiles.rows) {
            for (int i = 0; i < Sums::kSize; ++i) told[i * Tiles::kThreads + block.thread()] = own.values[i];
        }
        block.sync();
        if (row < half && row + half < tiles.rows) {
            Sums other;
            const int from = block.thread() + half * tiles.width;
            for (int i = 0; i < Sums::kSize; ++i) other.values[i] = told[i * Tiles::kThreads + from];
            own.merge(other);
        }
    }
}

// Plain sums of kSize numbers.
template <int Size>
struct PlainSums {
    static constexpr int kSize = Size;
    float values[kSize] = {};

    YOLO_DEVICE void merge(const PlainSums& other) {
        for (int i = 0; i < kSize; ++i) values[i] += other.values[i];
    }
};

// What each strip has found, [strips, quantities, lanes] float32, is added up by blocks of kColumns channels, in
// float64, so that many strips cost no digits.
constexpr int kColumns = 16;

inline Tiles sum_tiles(const Map& map) {
    return {map, 1024, 4, 128};
}

inline Tiles each_tiles(const Map& map) {
    return {map, 4096, 1, 16};
}

// Of what the strips of a map find, in bytes.
inline size_t partial_bytes(const Map& map, int quantities) {
    return static_cast<size_t>(sum_tiles(map).strips * quantities * map.lanes()) * sizeof(float);
}

// The sum of a column's values, for all of its threads; takes shared memory of a double a thread. Another sync() must
// come before it is called again.
YOLO_DEVICE double sum_column(const Block& block, double value) {
    double* const told = block.shared<double>();
    const int thread = block.thread();
    told[thread] = value;
    for (int half = block.threads() / 2; half >= kColumns; half /= 2) {
        block.sync();
        if (thread < half) told[thread] += told[thread + half];
    }
    block.sync();
    return told[thread % kColumns];
}

}  // namespace yolo::program::cuda
