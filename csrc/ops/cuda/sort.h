// Candidates of suppression as sortable numbers, and their order on a device.
#pragma once

#include <cstdint>

#include "cuda/device.h"
#include "cuda/half.h"
#include "cuda/words.h"

namespace yolo::ops::cuda {

// The score's bits, inverted, above row * classes + class. Ascending order is best first, ties by row and then by
// class; no two are equal. Scores are positive, so their bits order as they do.
YOLO_DEVICE uint64_t make_key(float score, uint32_t pair) {
    return static_cast<uint64_t>(~yolo::cuda::bits_of(score)) << 32 | pair;
}

YOLO_DEVICE float score_of(uint64_t key) {
    return yolo::cuda::float_of(~static_cast<uint32_t>(key >> 32));
}

YOLO_DEVICE uint32_t pair_of(uint64_t key) {
    return static_cast<uint32_t>(key);
}

// Keys that a block sorts in shared memory.
constexpr int64_t kTileBits = 11, kTile = int64_t{1} << kTileBits;

// The keys of each image, in one of two buffers [images, capacity]: merging goes to and fro between them as often as
// the image's number of keys asks for.
struct Keys {
    uint64_t* buffers[2];
    uint32_t* found;  // of each image, in the first buffer before sorting
    int64_t capacity, limit;

    // That are in order after sorting: the best.
    YOLO_DEVICE int64_t sorted(int64_t image) const { return found[image] < limit ? found[image] : limit; }
    YOLO_DEVICE const uint64_t* of(int64_t image) const {
        int merges = 0;
        for (int64_t run = kTile; run < found[image]; run *= 2) ++merges;
        return buffers[merges % 2] + image * capacity;
    }
};

// Puts the best `limit` of each image in order.
void sort(const Keys& keys, int64_t images, yolo::cuda::Stream stream);

}  // namespace yolo::ops::cuda
