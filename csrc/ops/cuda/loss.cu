// Work is shared out as it lies: matches are few and cells are many. A block an item goes through its matches' boxes;
// then a thread a cell takes its objectness, and a warp a matched cell the classes and the slopes of all its matches.
// Each kernel leaves its blocks' sums, and the last one adds them up in one order.
#include "ops/cuda/loss.h"

#include "cuda/kernel.h"
#include "ops/assign_rules.h"
#include "ops/ciou_slope.h"
#include "ops/cuda/loss_batch.h"

namespace yolo::ops::cuda {
namespace {

using yolo::cuda::Block;
using yolo::cuda::kWarp;
using yolo::cuda::Stream;

constexpr int kBlockThreads = 128;
constexpr int kWarps = kBlockThreads / kWarp;
constexpr int kCellsPerThread = kCellsPerBlock / kBlockThreads;

// A block an item: its matches' CIoU and slopes, and what objectness their cells are to have.
struct Boxes {
    static constexpr int kThreads = kBlockThreads;

    Batch batch;

    YOLO_DEVICE void operator()(const Block& block) const {
        const int64_t item = block.index(), level = batch.items.level_of(item);
        const int32_t count = batch.lists.counts[item];
        const float scale = batch.scales(level).box;
        double sum = 0;
        for (int32_t i = block.thread(); i < count; i += kThreads) sum += match(item, level, i, scale);
        const double all = yolo::cuda::block_sum(block, sum, block.shared<double>());
        if (block.thread() == 0) batch.box_sums[item] = all;
    }

    // 1 - CIoU.
    YOLO_DEVICE double match(int64_t item, int64_t level, int32_t i, float scale) const {
        const Level& grid = batch.items.levels[level];
        const int64_t place = item * batch.lists.room + i, cells = batch.cells[level];
        const int32_t cell = batch.lists.cells[place], width = static_cast<int32_t>(grid.width);
        const int64_t row = batch.items.image_of(item, level) * batch.labels.capacity + batch.lists.labels[place];
        const Target target = target_of(batch.labels.rows + row * 5, grid);
        const float box[4] = {target.x - static_cast<float>(cell % width), target.y - static_cast<float>(cell / width),
                              target.w, target.h};
        const float* const head = batch.heads[level] + batch.start(item, level) + cell;
        const float raw[4] = {head[0], head[cells], head[2 * cells], head[3 * cells]};
        const CiouSlope found = ciou_with_slope(raw, batch.items.anchor_of(item, level), box);
        if (batch.lists.followed[place] == 0) {
            batch.overlaps_of(item, level)[cell] = found.ciou < 0 ? 0.0f : static_cast<float>(found.ciou);
        }
        BoxSlopes slopes;
        for (int c = 0; c < 4; ++c) slopes.values[c] = static_cast<float>(-found.slope[c] * scale);
        batch.slopes[place] = slopes;
        return 1 - found.ciou;
    }
};

// A thread for some cells of an item.
struct Objectness {
    static constexpr int kThreads = kBlockThreads;

    Batch batch;

    YOLO_DEVICE void operator()(const Block& block) const {
        int64_t level = 0;
        while (level + 1 < batch.items.count && block.index() >= batch.first_block[level + 1]) ++level;
        const int64_t in_level = block.index() - batch.first_block[level], blocks = batch.blocks[level];
        const int64_t item = batch.items.first[level] + in_level / blocks, cells = batch.cells[level];
        const int64_t first = in_level % blocks * kCellsPerBlock + block.thread();
        const int64_t plane = batch.start(item, level) + 4 * cells;
        const float* const logits = batch.heads[level] + plane;
        const float* const wanted = batch.overlaps_of(item, level);
        float* const gradient = batch.gradients[level] == nullptr ? nullptr : batch.gradients[level] + plane;
        const float scale = batch.scales(level).obj;
        float logit[kCellsPerThread], target[kCellsPerThread];  // all are read before the first is waited for
        for (int k = 0; k < kCellsPerThread; ++k) {
            const int64_t cell = first + k * kThreads, place = cell < cells ? cell : 0;
            logit[k] = logits[place], target[k] = wanted[place];
        }
        double sum = 0;
        for (int k = 0; k < kCellsPerThread; ++k) {
            const int64_t cell = first + k * kThreads;
            if (cell >= cells) continue;
            const Bce found = bce_of(logit[k], target[k], batch.objectness);
            sum += found.loss;
            if (gradient != nullptr) gradient[cell] = found.slope * scale;
        }
        const double all = yolo::cuda::block_sum(block, sum, block.shared<double>());
        if (block.thread() == 0) batch.object_sums[block.index()] = all;
    }
};

// A warp for each matched cell of an item, which the cell's last match stands for.
struct Matched {
    static constexpr int kThreads = kBlockThreads;

    Batch batch;

    YOLO_DEVICE void operator()(const Block& block) const {
        const int64_t item = block.index() / kClassBlocks, level = batch.items.level_of(item);
        const int32_t count = batch.lists.counts[item], step = static_cast<int32_t>(kClassBlocks * kWarps);
        const auto first = static_cast<int32_t>(block.index() % kClassBlocks * kWarps);
        if (first >= count) {  // all threads of the block
            if (block.thread() == 0) batch.class_sums[block.index()] = 0;
            return;
        }
        const Scales scale = batch.scales(level);
        double sum = 0;
        for (int32_t i = first + block.thread() / kWarp; i < count; i += step) {
            if (batch.lists.followed[item * batch.lists.room + i] != 0) continue;
            if (batch.gradients[level] != nullptr) boxes(block, item, level, i);
            if (batch.classes < 2) continue;
            for (int64_t c = block.lane(); c < batch.classes; c += kWarp) sum += classes(item, level, i, c, scale.cls);
        }
        const double all = yolo::cuda::block_sum(block, sum, block.shared<double>());
        if (block.thread() == 0) batch.class_sums[block.index()] = all / static_cast<double>(batch.classes);
    }

    // The gradient of the cell's box: a lane a number.
    YOLO_DEVICE void boxes(const Block& block, int64_t item, int64_t level, int32_t last) const {
        if (block.lane() >= 4) return;
        const int64_t list = item * batch.lists.room;
        float slope = 0;
        for (int32_t i = last; i >= 0; i = batch.lists.previous[list + i]) {
            slope += batch.slopes[list + i].values[block.lane()];
        }
        const int64_t cell = batch.lists.cells[list + last];
        batch.gradients[level][batch.start(item, level) + block.lane() * batch.cells[level] + cell] = slope;
    }

    // One class of a cell: its logit is the same for all matches, and wanted by some.
    YOLO_DEVICE double classes(int64_t item, int64_t level, int32_t last, int64_t number, float scale) const {
        const int64_t list = item * batch.lists.room;
        const float* const rows = batch.labels.rows + batch.items.image_of(item, level) * batch.labels.capacity * 5;
        int32_t wanting = 0, others = 0;
        for (int32_t i = last; i >= 0; i = batch.lists.previous[list + i]) {
            const auto cls = static_cast<int32_t>(rows[batch.lists.labels[list + i] * int64_t{5}]);
            (cls == number ? wanting : others) += 1;
        }
        const int64_t cell = batch.lists.cells[list + last];
        const int64_t place = batch.start(item, level) + (5 + number) * batch.cells[level] + cell;
        const float logit = batch.heads[level][place];
        double loss = 0;
        float slope = 0;
        if (wanting > 0) {
            const Bce found = bce_of(logit, batch.positive, batch.classification);
            loss += static_cast<double>(found.loss) * wanting, slope += found.slope * static_cast<float>(wanting);
        }
        if (others > 0) {
            const Bce found = bce_of(logit, batch.negative, batch.classification);
            loss += static_cast<double>(found.loss) * others, slope += found.slope * static_cast<float>(others);
        }
        if (batch.gradients[level] != nullptr) batch.gradients[level][place] = slope * scale;
        return loss;
    }
};

// One block: a warp for each sum of a level, then one thread for what they make.
struct Combine {
    static constexpr int kThreads = 256;
    static constexpr int64_t kSums = 3;

    Batch batch;
    const double* own_matches;  // of this part
    double* terms;
    float* parts;

    YOLO_DEVICE void operator()(const Block& block) const {
        double* const sums = block.shared<double>();
        for (int64_t k = block.thread() / kWarp; k < batch.items.count * kSums; k += kThreads / kWarp) {
            const double sum = yolo::cuda::warp_sum(block, lanes_sum(block, k / kSums, k % kSums));
            if (block.lane() == 0) sums[k] = sum;
        }
        block.sync();
        if (block.thread() == 0) write(sums);
    }

    // A lane's share of the box, objectness or class sums of a level's blocks.
    YOLO_DEVICE double lanes_sum(const Block& block, int64_t level, int64_t which) const {
        const int64_t items = batch.items.first[level], end = batch.items.first[level + 1];
        const double* const sums = which == 0   ? batch.box_sums + items
                                   : which == 1 ? batch.object_sums + batch.first_block[level]
                                                : batch.class_sums + items * kClassBlocks;
        const int64_t count = which == 0   ? end - items
                              : which == 1 ? batch.first_block[level + 1] - batch.first_block[level]
                                           : (end - items) * kClassBlocks;
        double sum = 0;
        for (int64_t i = block.lane(); i < count; i += kWarp) sum += sums[i];
        return sum;
    }

    YOLO_DEVICE void write(const double* sums) const {
        PartSums all;
        for (int64_t level = 0; level < batch.items.count; ++level) {
            double* const row = terms + level * kLossTerms;
            row[0] = sums[level * kSums];
            row[1] = own_matches[level];
            row[2] = sums[level * kSums + 1];
            const int64_t items = batch.items.first[level + 1] - batch.items.first[level];
            row[3] = static_cast<double>(items * batch.cells[level]);
            row[4] = sums[level * kSums + 2];
            all.add(row, batch.matches[level], batch.balance[level], batch.parts);
        }
        all.write(batch.gains, batch.labels.images * batch.parts, parts);
    }
};

}  // namespace

size_t loss_scratch_bytes(int64_t images, int64_t places, const LossLevel* levels, int64_t count) {
    Scratch scratch(nullptr);
    Batch({nullptr, nullptr, images, places}, levels, count, 1).lay_out(scratch);
    return scratch.used();
}

void detection_loss(const Labels& labels, const LossLevel* levels, int64_t count, int64_t classes,
                    const LossSettings& settings, double* terms, float* parts, std::byte* scratch, Stream stream,
                    const Whole& whole, const float* slope_scale) {
    Scratch memory(scratch);
    Batch batch(labels, levels, count, classes);
    double* const own_matches = batch.lay_out(memory);
    batch.settle(settings, whole, slope_scale, own_matches);
    for (int64_t i = 0; i < count; ++i) {
        const int64_t numbers = (batch.first_cell[i + 1] - batch.first_cell[i]) * (5 + classes);
        if (batch.gradients[i] == nullptr) continue;
        yolo::cuda::clear(batch.gradients[i], static_cast<size_t>(numbers) * sizeof(float), stream);
    }
    yolo::cuda::clear(batch.overlaps, static_cast<size_t>(batch.first_cell[count]) * sizeof(float), stream);
    count_matches(labels, batch.items, settings.anchor_t, own_matches, stream);
    assign(labels, batch.items, settings.anchor_t, batch.lists, stream);
    const int64_t items = batch.items.total();
    constexpr size_t kShared = kWarps * sizeof(double);
    yolo::cuda::blocks(stream, items, kShared, Boxes{batch});
    yolo::cuda::blocks(stream, batch.first_block[count], kShared, Objectness{batch});
    yolo::cuda::blocks(stream, items * kClassBlocks, kShared, Matched{batch});
    yolo::cuda::blocks(stream, 1, static_cast<size_t>(count * Combine::kSums) * sizeof(double),
                       Combine{batch, own_matches, terms, parts});
}

}  // namespace yolo::ops::cuda
