#include "ops/cuda/suppress.h"

#include <algorithm>

#include "cuda/kernel.h"
#include "ops/cuda/bits.h"

namespace yolo::ops::cuda {
namespace {

using namespace yolo::cuda;

// Some of the images' candidates, from `begin` on.
struct Round {
    Candidates candidates;
    int64_t begin, size, max_det;
    const int32_t* counts;  // of the boxes kept before

    // Of an image, 0 where it needs no more.
    YOLO_DEVICE int rows(int64_t image) const {
        const int64_t rest = candidates.keys.sorted(image) - begin;
        if (rest <= 0 || counts[image] >= max_det) return 0;
        return static_cast<int>(rest < size ? rest : size);
    }
    YOLO_DEVICE const Box* shifted(int64_t image) const {
        return candidates.shifted + image * candidates.keys.limit + begin;
    }
    YOLO_DEVICE const Box* kept(int64_t image) const { return candidates.kept + image * candidates.most_kept; }
    YOLO_DEVICE uint64_t* overlaps(int64_t image) const {
        return candidates.overlaps + image * candidates.round_rows * kRoundWords;
    }
    YOLO_DEVICE uint8_t* dead(int64_t image, int64_t slice) const {
        return candidates.dead + (image * kSlices + slice) * kRound;
    }
};

YOLO_DEVICE bool suppresses(const Box& better, float better_area, const Box& box, float area, float threshold) {
    const float inter = better.intersection(box);
    return inter > 0.0f && inter / (better_area + area - inter) > threshold;  // most do not meet: no division
}

// Compares the round's candidates with one another and with what was kept before. Threads side by side take candidates
// side by side and compare them with the same boxes.
struct Compare {
    Round round;
    float threshold;
    int64_t threads;  // of an image, a multiple of a warp

    YOLO_DEVICE void operator()(int64_t i) const {
        const int64_t image = i / threads;
        const int rows = round.rows(image);
        if (rows == 0) return;
        const int words = (rows + 63) / 64, padded = 64 * words;
        const int total = padded * (words + (round.begin > 0 ? static_cast<int>(kSlices) : 0));
        for (int k = static_cast<int>(i % threads); k < total; k += static_cast<int>(threads)) {
            const int row = k % padded, part = k / padded;
            if (part >= words) {
                round.dead(image, part - words)[row] = row < rows && hit_by_kept(image, row, part - words);
            } else if (row < rows && part >= row / 64) {
                round.overlaps(image)[row * kRoundWords + part] = within(image, row, part, rows);
            }
        }
    }

private:
    // Which of 64 candidates, those behind `row`, it suppresses.
    YOLO_DEVICE uint64_t within(int64_t image, int row, int word, int rows) const {
        const Box* const boxes = round.shifted(image);
        const Box box = boxes[row];
        const float area = box.area();
        const int first = 64 * word, count = rows - first < 64 ? rows - first : 64;
        uint64_t bits = 0;
        for (int k = 0; k < count; ++k) {
            const Box other = boxes[first + k];
            const bool hit = first + k > row && suppresses(box, area, other, other.area(), threshold);
            bits |= static_cast<uint64_t>(hit) << k;
        }
        return bits;
    }

    YOLO_DEVICE bool hit_by_kept(int64_t image, int row, int slice) const {
        const Box* const kept = round.kept(image);
        const Box box = round.shifted(image)[row];
        const float area = box.area();
        const int64_t count = round.counts[image], last = count * (slice + 1) / kSlices;
        for (int64_t k = count * slice / kSlices; k < last; ++k) {
            const Box better = kept[k];
            if (suppresses(better, better.area(), box, area, threshold)) return true;
        }
        return false;
    }
};

// Goes through a round's candidates from best to worst, 64 at a time, keeps those that nothing suppresses and notes
// whom they do. A block is an image.
struct Walk {
    static constexpr int kThreads = 256;
    // Each word of 64 candidates' bits has four threads, and each of these its own copy: none waits for another.
    static constexpr int kCopies = kThreads / static_cast<int>(kRoundWords);
    static constexpr size_t kShared = (kThreads + 64 + 1) * sizeof(uint64_t);
    static constexpr int kShare = 64 / kCopies;  // candidates of a word that a copy is for
    static_assert(kShare == 16, "their flags are two words");
    Round round;
    int64_t classes;
    float* detections;
    int32_t* counts;

    YOLO_DEVICE void operator()(const Block& block) const {
        const int64_t image = block.index();
        const int rows = round.rows(image), thread = block.thread();
        if (rows == 0) return;
        const int word = thread % static_cast<int>(kRoundWords), copy = thread / static_cast<int>(kRoundWords);
        const uint64_t* const overlaps = round.overlaps(image);
        uint64_t* const removed = block.shared<uint64_t>();
        uint64_t* const later = removed + kThreads;  // of each of the 64: whom of them it suppresses
        uint64_t* const chosen = later + 64;
        int64_t kept = counts[image];
        removed[thread] = 64 * word < rows && round.begin > 0 ? removed_before(image, word, copy) : 0;
        uint64_t ahead = rivals(overlaps, rows, thread, 0);  // read before it is waited for
        for (int group = 0; 64 * group < rows && kept < round.max_det; ++group) {
            const int first = 64 * group;
            const uint64_t own = ahead;
            ahead = rivals(overlaps, rows, first + 64 + thread, group + 1);
            block.sync();
            const uint64_t alive = ~all_removed(removed, group) & lowest_bits(rows - first);
            if (alive == 0) continue;
            if (thread < 64) later[thread] = own;
            block.sync();
            if (thread == 0) *chosen = choose(alive, later, round.max_det - kept);
            block.sync();
            const uint64_t now = *chosen;
            if (thread < 64 && (now >> thread & 1) != 0) {
                keep(image, first + thread, kept + bit_count(now & lowest_bits(thread)));
            }
            kept += bit_count(now);
            if (word > group && 64 * word < rows) {
                const int own_first = kShare * copy;
                removed[thread] |= removed_by(overlaps + (first + own_first) * kRoundWords + word, now >> own_first);
            }
        }
        if (thread == 0) counts[image] = static_cast<int32_t>(kept);
    }

private:
    // By boxes kept before the round: this copy's candidates of a word.
    YOLO_DEVICE uint64_t removed_before(int64_t image, int word, int copy) const {
        struct alignas(16) Flags {
            uint64_t words[2];
        };
        const int first = 64 * word + kShare * copy;
        Flags all{};
        for (int slice = 0; slice < kSlices; ++slice) {
            const Flags flags = *reinterpret_cast<const Flags*>(round.dead(image, slice) + first);
            for (int i = 0; i < 2; ++i) all.words[i] |= flags.words[i];
        }
        return (bits_of_flags(all.words[0]) | bits_of_flags(all.words[1]) << 8) << kShare * copy;
    }

    // Whom of its own word a candidate suppresses.
    YOLO_DEVICE static uint64_t rivals(const uint64_t* overlaps, int rows, int row, int word) {
        return row / 64 == word && row < rows ? overlaps[row * kRoundWords + word] : 0;
    }

    // The union of those of a share's candidates that are chosen; four are read at once.
    YOLO_DEVICE static uint64_t removed_by(const uint64_t* overlaps, uint64_t chosen) {
        uint64_t bits = 0;
        for (int k = 0; k < kShare; k += 4) {
            if ((chosen >> k & 15) == 0) continue;
            for (int i = k; i < k + 4; ++i) bits |= (chosen >> i & 1) != 0 ? overlaps[i * kRoundWords] : 0;
        }
        return bits;
    }

    YOLO_DEVICE static uint64_t all_removed(const uint64_t* removed, int word) {
        uint64_t bits = 0;
        for (int copy = 0; copy < kCopies; ++copy) bits |= removed[copy * static_cast<int>(kRoundWords) + word];
        return bits;
    }

    // Of 64 candidates at most `most`, in order.
    YOLO_DEVICE static uint64_t choose(uint64_t alive, const uint64_t* later, int64_t most) {
        uint64_t chosen = 0;
        for (int64_t count = 0; alive != 0 && count < most; ++count) {
            const int best = first_bit(alive);
            chosen |= uint64_t{1} << best;
            alive &= ~(later[best] | uint64_t{1} << best);
        }
        return chosen;
    }

    YOLO_DEVICE void keep(int64_t image, int row, int64_t place) const {
        const Keys& keys = round.candidates.keys;
        const int64_t number = round.begin + row;
        const uint64_t key = keys.of(image)[number];
        const Box box = round.candidates.boxes[image * keys.limit + number];
        float* const out = detections + (image * round.max_det + place) * 6;
        out[0] = box.x1;
        out[1] = box.y1;
        out[2] = box.x2;
        out[3] = box.y2;
        out[4] = score_of(key);
        out[5] = static_cast<float>(pair_of(key) % static_cast<uint32_t>(classes));
        round.candidates.kept[image * round.candidates.most_kept + place] = round.shifted(image)[row];
    }
};

}  // namespace

void suppress(const Candidates& candidates, int64_t images, int64_t classes, float threshold, int64_t max_det,
              float* detections, int32_t* counts, Stream stream) {
    constexpr int64_t kMostThreads = 65536;  // of an image; each compares several candidates where there are more
    const int64_t limit = candidates.keys.limit;
    for (int64_t begin = 0, size = kFirstRound; begin < limit; begin += size, size = kRound) {
        const Round round{candidates, begin, std::min(size, limit - begin), max_det, counts};
        const int64_t words = (round.size + 63) / 64, parts = words + (begin > 0 ? kSlices : 0);
        const int64_t threads = std::min(64 * words * parts, kMostThreads);
        each(stream, images * threads, Compare{round, threshold, threads});
        blocks(stream, images, Walk::kShared, Walk{round, classes, detections, counts});
    }
}

}  // namespace yolo::ops::cuda
