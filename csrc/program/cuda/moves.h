// Moves of channels between maps, of whole packs where that is possible.
#pragma once

#include <cstdint>

#include "cuda/device.h"
#include "cuda/map.h"

namespace yolo::program::cuda {

// A channel of the coarse map at (y, x) belongs to channel `channel` of the fine one at (y * stride + dy, x * stride +
// dx), where that is inside of it.
struct Link {
    int32_t channel, dy, dx;
};

// Tables on the device: the links of all channels of the coarse map, and of each of its packs whether one link moves it
// as a whole, 1 or 0: its channels begin a pack of the fine map and follow one another there, all moved alike. Channels
// before the end of a pack end the fine map too, if that is written.
struct Links {
    const Link* channels;
    const uint8_t* whole;
    int64_t stride;
};

// coarse = fine, zeros where that lies outside. The maps' numbers are of one size.
void gather(const yolo::cuda::Map& fine, const yolo::cuda::Map& coarse, const Links& links, yolo::cuda::Stream stream);

// fine = coarse where they meet; no two channels move to one place. Leaves everything else.
void scatter(const yolo::cuda::Map& coarse, const yolo::cuda::Map& fine, const Links& links, yolo::cuda::Stream stream);

// The lanes of a pack from one on.
struct Lanes {
    int32_t pack, first;
};

// Zeros at `count` packs' lanes (a table on the device) of all pixels.
void clear_lanes(const yolo::cuda::Map& map, const Lanes* lanes, int64_t count, yolo::cuda::Stream stream);

}  // namespace yolo::program::cuda
