#include "cuda/host/races/cases.h"
#include "ops/cuda/decode.h"
#include "ops/cuda/iou.h"
#include "ops/cuda/letterbox.h"
#include "ops/cuda/nms.h"
#include "ops/cuda/suppress.h"

namespace yolo::cuda::races {
namespace {

using namespace yolo::ops;
using namespace yolo::ops::cuda;

// x, y, w, h or, of corners, x1, y1, x2, y2.
float* boxes(Memory& memory, int64_t count, bool corners) {
    float* const made = memory.take<float>(4 * count);
    for (int64_t i = 0; i < count; ++i) {
        float* const box = made + 4 * i;
        for (int k = 0; k < 2; ++k) box[k] = memory.number(0.0f, 60.0f);
        for (int k = 0; k < 2; ++k) box[2 + k] = memory.number(1.0f, 40.0f) + (corners ? box[k] : 0.0f);
    }
    return made;
}

const Register pairs("pairwise_iou", [](Memory& memory) {
    const float *const a = boxes(memory, 37, true), *const b = boxes(memory, 19, true);
    pairwise_iou(a, 37, b, 19, memory.take<float>(37 * 19), nullptr);
});

const Register overlaps("overlap", [](Memory& memory) {
    constexpr int64_t kCount = 67;
    const float *const a = boxes(memory, kCount, false), *const b = boxes(memory, kCount, false);
    for (const Overlap kind : {Overlap::iou, Overlap::giou, Overlap::diou, Overlap::ciou}) {
        overlap(kind, a, b, kCount, memory.take<float>(kCount), memory.take<float>(4 * kCount), nullptr);
    }
});

const Register letterboxes("letterbox", [](Memory& memory) {
    constexpr int32_t kHeight = 20, kWidth = 28;
    std::vector<LetterboxImage> images;
    for (const int32_t side : {9, 31}) {
        auto* const pixels = memory.take<uint8_t>(3 * side * (side + 2));
        for (int64_t i = 0; i < 3 * side * (side + 2); ++i) pixels[i] = static_cast<uint8_t>(memory.below(256));
        images.emplace_back(pixels, 3 * (side + 2), side, side + 2, 15, 22, 2, 3);
    }
    const LetterboxImage* const table = memory.copy(images);
    letterbox(table, 2, kHeight, kWidth, true, memory.take<uint8_t>(2 * 3 * kHeight * kWidth), nullptr);
    for (const Number number : kNumbers) letterbox(table, true, memory.map(number, 2, kHeight, kWidth, 3, 8), nullptr);
});

// Calls work(problem, detections, counts, scratch).
template <class Work>
void suppressed(Memory& memory, int64_t images, int64_t rows, int64_t classes, bool multi_label, const Work& work) {
    const NmsSettings settings{0.2f, 0.45, 20, 150, false, multi_label, {}};
    const NmsProblem problem{images, rows, classes, settings, nullptr};
    float* const detections = memory.take<float>(images * settings.max_det * 6);
    work(problem, detections, memory.take<int32_t>(images), memory.scratch(nms_scratch_bytes(problem)));
}

const Register decoded("nms", [](Memory& memory) {
    constexpr int64_t kImages = 2, kRows = 75, kClasses = 3;
    for (const bool multi_label : {false, true}) {
        float* const rows = memory.numbers(kImages * kRows * (5 + kClasses), 0.0f, 1.0f);
        for (int64_t i = 0; i < kImages * kRows; ++i) {
            for (int k = 0; k < 4; ++k) rows[i * (5 + kClasses) + k] *= 50.0f;
        }
        suppressed(memory, kImages, kRows, kClasses, multi_label,
                   [&](const NmsProblem& problem, float* detections, int32_t* counts, void* scratch) {
                       nms(problem, rows, detections, counts, scratch, nullptr);
                   });
    }
});

const Register heads("detect", [](Memory& memory) {
    constexpr int64_t kImages = 2, kClasses = 35;
    const std::vector<float> anchors{9.0f, 12.0f, 30.0f, 25.0f};
    std::vector<HeadLevel> levels;
    for (const int64_t side : {5, 3}) {
        const float* const head = memory.numbers(kImages * 2 * (5 + kClasses) * side * side, -2.0f, 2.0f);
        levels.push_back({head, side, side, 40.0f / static_cast<float>(side), anchors, 1.0f, side == 3 ? 40.0f : 0.0f});
    }
    const KnownBoxes known{memory.numbers(kImages * 2 * 5, 0.0f, 30.0f), memory.copy<int32_t>({2, 1}), 2};
    suppressed(memory, kImages, rows_of(levels, known), kClasses, false,
               [&](const NmsProblem& problem, float* detections, int32_t* counts, void* scratch) {
                   detect(problem, levels, known, detections, counts, scratch, nullptr);
               });
});

// More candidates than a round takes; two images, one of them with a part of a word.
const Register rounds("suppress", [](Memory& memory) {
    constexpr int64_t kImages = 2, kLimit = kFirstRound + 70, kMost = 200;
    const std::vector<uint32_t> found{static_cast<uint32_t>(kLimit), 45};
    Candidates candidates{};
    candidates.keys = {{memory.take<uint64_t>(kImages * kLimit), memory.take<uint64_t>(kImages * kLimit)},
                       memory.copy(found), kLimit, kLimit};
    for (uint64_t* const keys : candidates.keys.buffers) {
        for (int64_t i = 0; i < kImages * kLimit; ++i) {
            keys[i] = make_key(1.0f - 1e-4f * static_cast<float>(i % kLimit), static_cast<uint32_t>(i % 3));
        }
    }
    candidates.boxes = reinterpret_cast<Box*>(boxes(memory, kImages * kLimit, true));
    candidates.shifted = candidates.boxes;
    candidates.round_rows = kFirstRound, candidates.most_kept = kMost;
    const auto room = [&](int64_t bytes) { return memory.scratch(static_cast<size_t>(bytes)); };
    candidates.kept = reinterpret_cast<Box*>(room(kImages * kMost * static_cast<int64_t>(sizeof(Box))));
    candidates.overlaps = reinterpret_cast<uint64_t*>(room(kImages * kFirstRound * kRoundWords * 8));
    candidates.dead = reinterpret_cast<uint8_t*>(room(kImages * kSlices * kRound));
    suppress(candidates, kImages, 3, 0.2f, kMost, memory.take<float>(kImages * kMost * 6),
             memory.take<int32_t>(kImages), nullptr);
});

}  // namespace
}  // namespace yolo::cuda::races
