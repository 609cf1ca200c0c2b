// Suppression of sorted candidates by better ones, on a device.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/device.h"
#include "ops/cuda/boxes.h"
#include "ops/cuda/sort.h"

namespace yolo::ops::cuda {

// Candidates that are looked at together. The first round is smaller: as a rule it is the only one.
constexpr int64_t kFirstRound = 2048, kRound = 4096, kRoundWords = kRound / 64;
// Parts of the boxes kept before a round that are compared with its candidates at the same time.
constexpr int64_t kSlices = 16;

// What is known of the images' candidates, in order, and what suppression works in.
struct Candidates {
    Keys keys;
    Box *boxes, *shifted;  // [images, keys.limit]; shifted: moved apart by class, as they are compared
    Box* kept;             // [images, most kept], shifted
    uint64_t* overlaps;    // [images, round_rows, kRoundWords]: which later ones of the round a candidate suppresses
    uint8_t* dead;         // [images, kSlices, kRound]: which of the round's are suppressed by boxes kept before
    int64_t round_rows, most_kept;
};

// Writes detections [images, max_det, 6] and counts of `images`, best first. Both are zeros before.
void suppress(const Candidates& candidates, int64_t images, int64_t classes, float threshold, int64_t max_det,
              float* detections, int32_t* counts, yolo::cuda::Stream stream);

}  // namespace yolo::ops::cuda
