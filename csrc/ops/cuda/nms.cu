#include "ops/cuda/nms.h"

#include <algorithm>
#include <stdexcept>

#include "ops/cuda/candidates.h"

namespace yolo::ops::cuda {
namespace {

using namespace yolo::cuda;

constexpr size_t kAlignment = 256;

// Lays arrays one behind the other; without memory it only counts.
struct Layout {
    std::byte* memory;
    size_t bytes = 0;

    template <class Type>
    void take(Type*& array, int64_t count) {
        array = memory == nullptr ? nullptr : reinterpret_cast<Type*>(memory + bytes);
        bytes += (static_cast<size_t>(count) * sizeof(Type) + kAlignment - 1) / kAlignment * kAlignment;
    }
};

size_t lay(const NmsProblem& problem, int64_t images, std::byte* scratch, NmsRoom& room) {
    Layout layout{scratch};
    Candidates& found = room.candidates;
    const int64_t limit = problem.limit();
    room.images = images;
    // A source's last warp may be no full one, and a source has a row at least and, but for two, 32.
    room.warps = problem.rows / kWarp * 2 + 3;
    found.keys.capacity = problem.capacity();
    found.keys.limit = limit;
    found.round_rows = std::min((limit + 63) / 64 * 64, kRound);
    found.most_kept = std::min(limit, problem.settings.max_det);
    for (uint64_t*& buffer : found.keys.buffers) layout.take(buffer, images * found.keys.capacity);
    layout.take(found.keys.found, images);
    layout.take(room.places, images * room.warps);
    layout.take(found.boxes, images * limit);
    layout.take(found.shifted, images * limit);
    layout.take(found.kept, images * found.most_kept);
    layout.take(found.overlaps, images * found.round_rows * kRoundWords);
    layout.take(found.dead, limit > kFirstRound ? images * kSlices * kRound : 0);
    return layout.bytes;
}

// One image's counts become places, one after the other. A block is an image; each thread has a run of them.
struct CountPlaces {
    static constexpr int kThreads = 256;
    static constexpr size_t kShared = kThreads * sizeof(uint32_t);
    uint32_t* places;
    uint32_t* found;
    int64_t warps, used;  // of an image: from one to the next, and those that count

    YOLO_DEVICE void operator()(const Block& block) const {
        uint32_t* const sums = block.shared<uint32_t>();
        uint32_t* const own = places + block.index() * warps;
        const int64_t run = (used + kThreads - 1) / kThreads, first = block.thread() * run;
        const int64_t last = first + run < used ? first + run : used;
        uint32_t sum = 0;
        for (int64_t i = first; i < last; ++i) sum += own[i];
        sums[block.thread()] = sum;
        block.sync();
        uint32_t place = 0;
        for (int i = 0; i < block.thread(); ++i) place += sums[i];
        if (block.thread() == kThreads - 1) found[block.index()] = place + sum;
        for (int64_t i = first; i < last; ++i) {
            const uint32_t count = own[i];
            own[i] = place;
            place += count;
        }
    }
};

// Decoded predictions.
struct Rows {
    const float* data;
    int64_t rows, columns, first_row;

    YOLO_DEVICE const float* spot(int64_t image, int64_t row) const { return data + (image * rows + row) * columns; }
    YOLO_DEVICE float objectness(const float* row) const { return row[4]; }
    YOLO_DEVICE float score(const float* row, int64_t c) const { return row[5 + c]; }
    YOLO_DEVICE Box box(const float* row) const {
        const float half_w = row[2] / 2, half_h = row[3] / 2;
        return {row[0] - half_w, row[1] - half_h, row[0] + half_w, row[1] + half_h};
    }
};

}  // namespace

void NmsProblem::check() const {
    if (images < 1 || rows < 0) throw std::invalid_argument("suppression without images");
    if (wanted == nullptr && !settings.wanted.empty()) throw std::invalid_argument("wanted classes are elsewhere");
    ops::check(settings, static_cast<double>(rows), classes);
}

size_t make_room(const NmsProblem& problem, std::byte* scratch, NmsRoom& room) {
    problem.check();
    const size_t alone = lay(problem, 1, nullptr, room);
    const auto together = static_cast<int64_t>(kNmsScratch / alone);
    return lay(problem, std::clamp<int64_t>(together, 1, problem.images), scratch, room);
}

size_t nms_scratch_bytes(const NmsProblem& problem) {
    NmsRoom room;
    return make_room(problem, nullptr, room);
}

void count_places(const NmsRoom& room, int64_t images, int64_t warps, Stream stream) {
    const CountPlaces kernel{room.places, room.candidates.keys.found, room.warps, warps};
    blocks(stream, images, CountPlaces::kShared, kernel);
}

void suppress_found(const NmsRoom& room, const NmsProblem& problem, int64_t images, float* detections, int32_t* counts,
                    Stream stream) {
    const float threshold = round_down(problem.settings.iou);
    suppress(room.candidates, images, problem.classes, threshold, problem.settings.max_det, detections, counts, stream);
}

void nms(const NmsProblem& problem, const float* predictions, float* detections, int32_t* counts, void* scratch,
         Stream stream) {
    const auto sources = [&](int64_t first, const auto& action) {
        const int64_t columns = 5 + problem.classes;
        action(Rows{predictions + first * problem.rows * columns, problem.rows, columns, 0});
    };
    detect_in(problem, sources, detections, counts, scratch, stream);
}

}  // namespace yolo::ops::cuda
