#include "cuda/host/races/cases.h"
#include "ops/cuda/assign.h"
#include "ops/cuda/loss.h"

namespace yolo::cuda::races {
namespace {

using namespace yolo::ops;
using namespace yolo::ops::cuda;

constexpr int64_t kImages = 2, kPlaces = 140, kAnchors = 2, kClasses = 35;

// More than a block's threads in one image, few in the other.
Labels labels(Memory& memory) {
    float* const rows = memory.numbers(kImages * kPlaces * 5, 0.05f, 0.95f);
    for (int64_t i = 0; i < kImages * kPlaces; ++i) rows[5 * i] = static_cast<float>(memory.below(kClasses));
    return {rows, memory.copy<int32_t>({kPlaces - 1, 5}), kImages, kPlaces};
}

std::vector<Level> grids(Memory& memory) {
    const float* const sizes = memory.copy<float>({1.0f, 1.5f, 3.0f, 2.0f});
    return {{sizes, kAnchors, 24, 23}, {sizes, kAnchors, 5, 7}};
}

const Register counting("count_matches", [](Memory& memory) {
    const Labels given = labels(memory);
    const std::vector<Level> levels = grids(memory);
    count_matches(given, Items(levels.data(), 2, kImages), 4.0, memory.take<double>(2), nullptr);
});

const Register assigning("assign", [](Memory& memory) {
    const Labels given = labels(memory);
    const std::vector<Level> levels = grids(memory);
    const Items items(levels.data(), 2, kImages);
    Scratch needed(nullptr);
    match_lists(needed, items.total(), kPlaces);
    Scratch room(memory.take<std::byte>(static_cast<int64_t>(needed.used())));
    assign(given, items, 4.0, match_lists(room, items.total(), kPlaces), nullptr);
});

const Register losing("detection_loss", [](Memory& memory) {
    const Labels given = labels(memory);
    std::vector<LossLevel> levels;
    for (const Level& grid : grids(memory)) {
        const int64_t numbers = kImages * kAnchors * (5 + kClasses) * grid.height * grid.width;
        float* const gradient = memory.take<float>(numbers);
        levels.push_back({grid, memory.numbers(numbers), gradient});
    }
    const LossSettings settings{0.05, 1.0, 0.5, 1.0, 1.0, 4.0, 1.5, 0.1, {4.0, 1.0}};
    std::byte* const scratch = memory.scratch(loss_scratch_bytes(kImages, kPlaces, levels.data(), 2));
    double* const terms = memory.take<double>(2 * kLossTerms);
    float* const parts = memory.take<float>(kLossParts);
    detection_loss(given, levels.data(), 2, kClasses, settings, terms, parts, scratch, nullptr);
});

}  // namespace
}  // namespace yolo::cuda::races
