// Feature maps on the device: the channels of a pixel lie together (NHWC).
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "cuda/half.h"

namespace yolo::cuda {

enum class Number { float32, bfloat16, float16 };

inline size_t bytes_of(Number number) {
    return number == Number::float32 ? 4 : 2;
}

// Channels that a kernel takes at once. Each map has room for whole packs: `lanes` is `channels` rounded up to them, and
// whoever writes a map writes zeros there, so that a convolution may read them as channels.
constexpr int64_t kPack = 8;

// [images, height, width, channels], with `pitch` numbers from a pixel to the next: the channels of several maps may lie
// side by side in a pixel. Addresses and pitches are multiples of a pack.
struct Map {
    void* data;
    Number number;
    int64_t images, height, width, channels, pitch;

    int64_t lanes() const { return (channels + kPack - 1) / kPack * kPack; }
    int64_t pixels() const { return images * height * width; }
    // Packs of all pixels.
    int64_t packs() const { return pixels() * lanes() / kPack; }
};

// The same as kernels take it.
template <class T>
struct Pixels {
    T* data;
    int64_t height, width, channels, lanes, pitch;

    explicit Pixels(const Map& map)
        : data(static_cast<T*>(map.data)), height(map.height), width(map.width), channels(map.channels),
          lanes(map.lanes()), pitch(map.pitch) {}
    // Of the pixel with this number in the whole batch, from a channel on.
    YOLO_DEVICE T* at(int64_t pixel, int64_t channel = 0) const { return data + pixel * pitch + channel; }
    YOLO_DEVICE T* at(int64_t image, int64_t y, int64_t x, int64_t channel) const {
        return at((image * height + y) * width + x, channel);
    }
};

struct Pack {
    float values[kPack];
};

// A pack as it lies in memory: 16 bytes are read and written at once.
template <class T>
struct alignas(16) RawPack {
    T values[kPack];
};

template <class T>
YOLO_DEVICE Pack load(const T* from) {
    const RawPack<T> raw = *reinterpret_cast<const RawPack<T>*>(from);
    Pack pack;
    for (int i = 0; i < kPack; ++i) pack.values[i] = to_float(raw.values[i]);
    return pack;
}

// The first `count` of the pack, zeros behind them: lanes after the last channel.
template <class T>
YOLO_DEVICE void store(T* to, const Pack& pack, int64_t count = kPack) {
    RawPack<T> raw;
    for (int i = 0; i < kPack; ++i) raw.values[i] = rounded<T>(i < count ? pack.values[i] : 0.0f);
    *reinterpret_cast<RawPack<T>*>(to) = raw;
}

// Calls action(T()) with the type of these numbers.
template <class Action>
void with_type(Number number, const Action& action) {
    switch (number) {
        case Number::float32: return action(float());
        case Number::bfloat16: return action(Bfloat16());
        case Number::float16: return action(Half());
    }
    throw std::invalid_argument("numbers of no known type");
}

}  // namespace yolo::cuda
