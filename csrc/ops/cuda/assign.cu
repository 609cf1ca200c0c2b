#include "ops/cuda/assign.h"

#include <stdexcept>

#include "cuda/kernel.h"
#include "ops/assign_rules.h"
#include "ops/cuda/bits.h"

namespace yolo::ops::cuda {
namespace {

using yolo::cuda::Block;
using yolo::cuda::kWarp;
using yolo::cuda::Stream;

// Labels of an image that are there.
YOLO_DEVICE int32_t known(const Labels& labels, int64_t image) {
    const int32_t count = labels.counts[image], most = static_cast<int32_t>(labels.capacity);
    return count < 0 ? 0 : count > most ? most : count;
}

// One block an item: its matches in order, then which of them share cells.
struct Assign {
    static constexpr int kThreads = 128;
    static constexpr int kWarps = kThreads / kWarp;

    Labels labels;
    Items items;
    float anchor_t;
    MatchLists lists;

    YOLO_DEVICE void operator()(const Block& block) const {
        const int64_t item = block.index(), start = item * lists.room;
        const int32_t count = collect(block, item, lists.cells + start, lists.labels + start);
        for (int32_t i = block.thread(); i < count; i += kThreads) lists.followed[start + i] = 0;
        block.sync();
        link(block, count, start);
        if (block.thread() == 0) lists.counts[item] = count;
    }

    // The number of matches. Tile after tile of labels, each thread learns how many matches threads before it have; the
    // warps' numbers alternate between two places, so that one barrier a tile is enough.
    YOLO_DEVICE int32_t collect(const Block& block, int64_t item, int32_t* cells, int32_t* places) const {
        const int64_t level = items.level_of(item), image = items.image_of(item, level);
        const int32_t rows = known(labels, image);
        const int warp = block.thread() / kWarp;
        int32_t* const found = block.shared<int32_t>();
        int32_t written = 0, turn = 0;
        for (int64_t offset = 0; offset < kAssignOffsets; ++offset) {
            for (int32_t begin = 0; begin < rows; begin += kThreads, turn ^= kWarps) {
                const int32_t row = begin + block.thread();
                const int32_t cell = row < rows ? match(item, level, image, row, offset) : -1;
                const uint32_t matching = block.ballot(cell >= 0);
                if (block.lane() == 0) found[turn + warp] = bit_count(matching);
                block.sync();
                int32_t place = written + bit_count(matching & lowest_bits(block.lane()));
                for (int other = 0; other < kWarps; ++other) {
                    const int32_t others = found[turn + other];
                    written += others;
                    if (other < warp) place += others;
                }
                if (cell >= 0) cells[place] = cell, places[place] = row;
            }
        }
        return written;
    }

    // The cell that a label is given to, or -1.
    YOLO_DEVICE int32_t match(int64_t item, int64_t level, int64_t image, int32_t row, int64_t offset) const {
        const float* const label = labels.rows + (image * labels.capacity + row) * 5;
        const Level& grid = items.levels[level];
        if (!usable(label)) return -1;
        const Target target = target_of(label, grid);
        if (!target.given_to(offset) || !fits(target, items.anchor_of(item, level), anchor_t)) return -1;
        const Cell cell = cell_of(target, offset, grid);
        return cell.row * static_cast<int32_t>(grid.width) + cell.column;
    }

    // Every match has one before it at most, and is that of one at most: no two threads write one place.
    YOLO_DEVICE void link(const Block& block, int32_t count, int64_t start) const {
        for (int32_t i = block.thread(); i < count; i += kThreads) {
            const int32_t before = before_of(lists.cells + start, i);
            lists.previous[start + i] = before;
            if (before >= 0) lists.followed[start + before] = 1;
        }
    }

    // Several are read at once, so that they need not wait for one another.
    YOLO_DEVICE static int32_t before_of(const int32_t* cells, int32_t match) {
        constexpr int32_t kAtOnce = 8;
        const int32_t cell = cells[match];
        for (int32_t last = match - 1; last >= 0; last -= kAtOnce) {
            int32_t found = -1;
            for (int32_t k = kAtOnce - 1; k >= 0; --k) {
                const int32_t place = last - k < 0 ? 0 : last - k;
                if (cells[place] == cell) found = place;
            }
            if (found >= 0) return found;
        }
        return -1;
    }
};

// One block a level.
struct Count {
    static constexpr int kThreads = 256;

    Labels labels;
    Items items;
    float anchor_t;
    double* matches;

    YOLO_DEVICE void operator()(const Block& block) const {
        const int64_t level = block.index(), rows = labels.images * labels.capacity;
        int64_t found = 0;
        for (int64_t row = block.thread(); row < rows; row += kThreads) {
            const float* const label = labels.rows + row * 5;
            const int64_t image = row / labels.capacity;
            if (row % labels.capacity >= known(labels, image) || !usable(label)) continue;
            found += matches_of(target_of(label, items.levels[level]), items.levels[level], anchor_t);
        }
        const int64_t all = yolo::cuda::block_sum(block, found, block.shared<int64_t>());
        if (block.thread() == 0) matches[level] = static_cast<double>(all);
    }
};

}  // namespace

Items::Items(const Level* all, int64_t count, int64_t images) : first{0}, count(count) {
    if (count > kMostLevels) throw std::invalid_argument("a loss of more than 8 levels");
    for (int64_t i = 0; i < count; ++i) {
        levels[i] = all[i];
        first[i + 1] = first[i] + images * all[i].anchors;
    }
}

MatchLists match_lists(Scratch& scratch, int64_t items, int64_t places) {
    const int64_t room = kAssignOffsets * places;
    MatchLists lists{scratch.take<int32_t>(items), nullptr, nullptr, nullptr, nullptr, room};
    for (int32_t** list : {&lists.cells, &lists.labels, &lists.previous, &lists.followed}) {
        *list = scratch.take<int32_t>(items * room);
    }
    return lists;
}

void assign(const Labels& labels, const Items& items, double anchor_t, const MatchLists& lists, Stream stream) {
    yolo::cuda::blocks(stream, items.total(), 2 * Assign::kWarps * sizeof(int32_t),
                       Assign{labels, items, static_cast<float>(anchor_t), lists});
}

void count_matches(const Labels& labels, const Items& items, double anchor_t, double* matches, Stream stream) {
    yolo::cuda::blocks(stream, items.count, Count::kThreads / kWarp * sizeof(int64_t),
                       Count{labels, items, static_cast<float>(anchor_t), matches});
}

}  // namespace yolo::ops::cuda
