// From predictions of any source to sorted candidates to detections, on a device: kernels that sources are put into.
//
// A Source has numbers rows (of an image), first_row (its first one's number among all predictions of the image), and
//   spot(image, row)   where a prediction is; a row is one of the source's own
//   objectness(spot), score(spot, class), box(spot)
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "cuda/kernel.h"
#include "ops/cuda/bits.h"
#include "ops/cuda/nms.h"
#include "ops/cuda/suppress.h"

namespace yolo::ops::cuda {

constexpr float kMaxFloat = 3.402823466e38f;

// What part of a batch works in.
struct NmsRoom {
    Candidates candidates;
    uint32_t* places;  // [images, warps]: a warp's number of candidates, then that of its first one
    int64_t warps;     // of an image
    int64_t images;    // at once
};

// Writes room as it lies in `scratch`, which may be null; returns its bytes.
size_t make_room(const NmsProblem& problem, std::byte* scratch, NmsRoom& room);
// Of the images' counts by warp: the places of the warps' first candidates, and the sums.
void count_places(const NmsRoom& room, int64_t images, int64_t warps, yolo::cuda::Stream stream);
// Sorts what was found, before suppress_found() with its boxes.
void suppress_found(const NmsRoom& room, const NmsProblem& problem, int64_t images, float* detections, int32_t* counts,
                    yolo::cuda::Stream stream);

// Which predictions become candidates.
struct Choice {
    int64_t classes;
    float conf;
    bool multi_label;
    const uint8_t* wanted;  // one flag per class, or null

    explicit Choice(const NmsProblem& problem)
        : classes(problem.classes), conf(problem.settings.conf), multi_label(problem.settings.multi_label),
          wanted(problem.wanted) {}
    YOLO_DEVICE bool wants(int64_t c) const { return wanted == nullptr || wanted[c] != 0; }
};

YOLO_DEVICE bool is_score(float score, float conf) {
    return score > conf && score <= kMaxFloat;
}

YOLO_DEVICE bool is_finite(const Box& box) {
    return fabsf(box.x1) <= kMaxFloat && fabsf(box.y1) <= kMaxFloat && fabsf(box.x2) <= kMaxFloat &&
           fabsf(box.y2) <= kMaxFloat;
}

// Counts candidates, or writes them. A warp takes 32 predictions, and for each that may be one its lanes take the
// classes.
template <class Source, bool kWrite>
struct Gather {
    static constexpr int kThreads = 256;
    Source source;
    Choice choice;
    NmsRoom room;
    int64_t images, first_warp, warps;  // the source's of an image, and where its first one is among all

    YOLO_DEVICE void operator()(const yolo::cuda::Block& block) const {
        const int64_t number = block.index() * (kThreads / yolo::cuda::kWarp) + block.thread() / yolo::cuda::kWarp;
        if (number >= images * warps) return;
        const int64_t image = number / warps, first = number % warps * yolo::cuda::kWarp, row = first + block.lane();
        uint32_t* const place = room.places + image * room.warps + first_warp + number % warps;
        float objectness = 0.0f;
        if (row < source.rows) {
            const auto spot = source.spot(image, row);
            objectness = source.objectness(spot);
            if (!(objectness > choice.conf && is_finite(source.box(spot)))) objectness = 0.0f;
        }
        uint32_t at = kWrite ? *place : 0;
        for (uint32_t rest = block.ballot(objectness > choice.conf); rest != 0; rest &= rest - 1) {
            const int lane = first_bit(rest);
            const float sure = block.shuffle(objectness, lane);
            at = choice.multi_label ? all_classes(block, image, first + lane, sure, at)
                                    : best_class(block, image, first + lane, sure, at);
        }
        if (!kWrite && block.lane() == 0) *place = at;
    }

private:
    YOLO_DEVICE void write(int64_t image, int64_t row, int64_t c, float score, uint32_t at) const {
        const auto pair = static_cast<uint32_t>((source.first_row + row) * choice.classes + c);
        const Keys& keys = room.candidates.keys;
        keys.buffers[0][image * keys.capacity + at] = make_key(score, pair);
    }

    YOLO_DEVICE uint32_t all_classes(const yolo::cuda::Block& block, int64_t image, int64_t row, float objectness,
                                     uint32_t at) const {
        const auto spot = source.spot(image, row);
        for (int64_t first = 0; first < choice.classes; first += yolo::cuda::kWarp) {
            const int64_t c = first + block.lane();
            const float score = c < choice.classes ? objectness * source.score(spot, c) : 0.0f;
            const bool good = is_score(score, choice.conf) && choice.wants(c);
            const uint32_t all = block.ballot(good);
            const auto before = static_cast<uint32_t>(bit_count(all & lowest_bits(block.lane())));
            if (kWrite && good) write(image, row, c, score, at + before);
            at += static_cast<uint32_t>(bit_count(all));
        }
        return at;
    }

    // The first of the best ones.
    YOLO_DEVICE uint32_t best_class(const yolo::cuda::Block& block, int64_t image, int64_t row, float objectness,
                                    uint32_t at) const {
        const auto spot = source.spot(image, row);
        uint64_t best = ~uint64_t{0};
        for (int64_t c = block.lane(); c < choice.classes; c += yolo::cuda::kWarp) {
            const float score = objectness * source.score(spot, c);
            if (!is_score(score, choice.conf)) continue;
            const uint64_t key = make_key(score, static_cast<uint32_t>(c));
            best = key < best ? key : best;
        }
        int lanes = 1;  // that may have one
        while (lanes < choice.classes && lanes < yolo::cuda::kWarp) lanes *= 2;
        for (int mask = lanes / 2; mask > 0; mask /= 2) {
            const uint64_t other = block.shuffle_xor(best, mask);
            best = other < best ? other : best;
        }
        const bool good = block.lane() == 0 && best != ~uint64_t{0} && choice.wants(pair_of(best));
        if (kWrite && good) write(image, row, pair_of(best), score_of(best), at);
        return at + static_cast<uint32_t>(bit_count(block.ballot(good)));
    }
};

// The boxes of the sorted candidates that are of a source.
template <class Source>
struct LoadBoxes {
    Source source;
    int64_t classes;
    bool agnostic;
    Candidates candidates;
    int64_t threads;  // of an image

    YOLO_DEVICE void operator()(int64_t i) const {
        const int64_t image = i / threads, count = candidates.keys.sorted(image);
        const uint64_t* const keys = candidates.keys.of(image);
        const auto divisor = static_cast<uint32_t>(classes);
        for (int64_t k = i % threads; k < count; k += threads) {
            const uint32_t pair = pair_of(keys[k]);
            const int64_t row = pair / divisor - source.first_row;
            if (row < 0 || row >= source.rows) continue;
            const Box box = source.box(source.spot(image, row));
            const int64_t at = image * candidates.keys.limit + k;
            candidates.boxes[at] = box;
            const float offset = product(kClassOffset, static_cast<float>(pair % divisor));
            candidates.shifted[at] = agnostic ? box : box.shifted(offset);
        }
    }
};

// Calls sources(first image, action): action(source) for each source, in the order of their rows.
template <class Sources>
void detect_in(const NmsProblem& problem, const Sources& sources, float* detections, int32_t* counts, void* scratch,
               yolo::cuda::Stream stream) {
    using yolo::cuda::kWarp;
    const int64_t max_det = problem.settings.max_det;
    NmsRoom room;
    make_room(problem, static_cast<std::byte*>(scratch), room);
    yolo::cuda::clear(detections, static_cast<size_t>(problem.images * max_det * 6) * sizeof(float), stream);
    yolo::cuda::clear(counts, static_cast<size_t>(problem.images) * sizeof(int32_t), stream);
    if (problem.capacity() == 0) return;
    for (int64_t first = 0; first < problem.images; first += room.images) {
        const int64_t images = problem.images - first < room.images ? problem.images - first : room.images;
        const auto gather = [&](auto write) {
            int64_t warp = 0;
            sources(first, [&](const auto& source) {
                using Source = std::decay_t<decltype(source)>;
                using Kernel = Gather<Source, decltype(write)::value>;
                const int64_t warps = (source.rows + kWarp - 1) / kWarp, a_block = Kernel::kThreads / kWarp;
                yolo::cuda::blocks(stream, (images * warps + a_block - 1) / a_block, 0,
                                   Kernel{source, Choice(problem), room, images, warp, warps});
                warp += warps;
            });
            return warp;
        };
        count_places(room, images, gather(std::false_type()), stream);
        gather(std::true_type());
        sort(room.candidates.keys, images, stream);
        sources(first, [&](const auto& source) {
            using Source = std::decay_t<decltype(source)>;
            const int64_t threads = (problem.limit() + kWarp - 1) / kWarp * kWarp;
            const bool agnostic = problem.settings.agnostic;
            yolo::cuda::each(stream, images * threads,
                             LoadBoxes<Source>{source, problem.classes, agnostic, room.candidates, threads});
        });
        suppress_found(room, problem, images, detections + first * max_det * 6, counts + first, stream);
    }
}

}  // namespace yolo::ops::cuda
