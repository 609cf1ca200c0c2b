// Which pixel and which channels the numbers of a kernel's calls stand for.
#pragma once

#include <cstdint>

#include "cuda/map.h"

namespace yolo::program::cuda {

// Divides by a number that the host knows: a multiplication for everything below 2^31, since GPUs have no division.
class Divisor {
public:
    explicit Divisor(int64_t by) : by_(by) {
        if (by >= int64_t{1} << 31) return;  // smaller numbers have the quotient 0 then
        while (int64_t{1} << shift_ < by) ++shift_;
        factor_ = static_cast<uint32_t>(((uint64_t{1} << (31 + shift_)) + static_cast<uint64_t>(by) - 1) /
                                        static_cast<uint64_t>(by));
    }
    // Of a number that is not negative.
    YOLO_DEVICE int64_t quotient(int64_t number) const {
        if (number >= int64_t{1} << 31) return number / by_;
        return static_cast<int64_t>(static_cast<uint64_t>(number) * factor_ >> (31 + shift_));
    }
    // What quotient() leaves of the number.
    YOLO_DEVICE int64_t rest(int64_t number, int64_t quotient) const { return number - quotient * by_; }

private:
    int64_t by_;
    uint32_t factor_ = 0;
    int shift_ = 0;
};

// A pack of a map: its pixel, by its number in the whole batch and by where it is, and its first channel.
struct Cell {
    int64_t pixel, image, y, x, channel;
};

// The packs of a map in the order in which they lie, so that neighbours in a warp touch neighbours in memory.
class Cells {
public:
    explicit Cells(const yolo::cuda::Map& map)
        : packs_(map.lanes() / yolo::cuda::kPack), width_(map.width), height_(map.height) {}
    YOLO_DEVICE Cell at(int64_t number) const {
        const int64_t pixel = packs_.quotient(number), line = width_.quotient(pixel), image = height_.quotient(line);
        return {pixel, image, height_.rest(line, image), width_.rest(pixel, line), channel(number, pixel)};
    }
    // Of the same these alone.
    YOLO_DEVICE int64_t pixel(int64_t number) const { return packs_.quotient(number); }
    YOLO_DEVICE int64_t channel(int64_t number, int64_t pixel) const {
        return packs_.rest(number, pixel) * yolo::cuda::kPack;
    }

private:
    Divisor packs_, width_, height_;
};

// A pack's numbers as they are.
template <class T>
struct alignas(sizeof(T) * yolo::cuda::kPack < 16 ? sizeof(T) * yolo::cuda::kPack : 16) Packed {
    T values[yolo::cuda::kPack];
};

template <class T>
YOLO_DEVICE Packed<T> packed(const T* from) {
    return *reinterpret_cast<const Packed<T>*>(from);
}

template <class T>
YOLO_DEVICE void put(T* to, const Packed<T>& pack) {
    *reinterpret_cast<Packed<T>*>(to) = pack;
}

}  // namespace yolo::program::cuda
