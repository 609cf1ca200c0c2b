#include "ops/cuda/sort.h"

#include <algorithm>

#include "cuda/kernel.h"

namespace yolo::ops::cuda {
namespace {

using namespace yolo::cuda;

constexpr int64_t kMostBlocks = 128;  // of an image; each takes several tiles where there are more
constexpr int64_t kThreadsOfBlock = 256;  // of each()

// Sorts every tile of an image's keys by itself: a bitonic network.
struct SortTiles {
    static constexpr int kThreads = 256;
    static constexpr size_t kShared = kTile * sizeof(uint64_t);
    Keys keys;
    int64_t blocks;  // of an image

    YOLO_DEVICE void operator()(const Block& block) const {
        const int64_t image = block.index() / blocks, found = keys.found[image];
        for (int64_t begin = block.index() % blocks * kTile; begin < found; begin += blocks * kTile) {
            const int64_t rest = found - begin;
            uint64_t* const tile = keys.buffers[0] + image * keys.capacity + begin;
            sort_tile(block, tile, static_cast<int>(rest < kTile ? rest : kTile));
        }
    }

private:
    YOLO_DEVICE static void sort_tile(const Block& block, uint64_t* tile, int count) {
        uint64_t* const shared = block.shared<uint64_t>();
        int size = 1;
        while (size < count) size *= 2;
        for (int i = block.thread(); i < size; i += kThreads) shared[i] = i < count ? tile[i] : ~uint64_t{0};
        block.sync();
        for (int length = 2; length <= size; length *= 2) {
            for (int step = length / 2; step > 0; step /= 2) {
                for (int i = block.thread(); i < size / 2; i += kThreads) exchange(shared, i, step, length);
                block.sync();
            }
        }
        for (int i = block.thread(); i < count; i += kThreads) tile[i] = shared[i];
        block.sync();  // the next tile takes the same memory
    }

    YOLO_DEVICE static void exchange(uint64_t* shared, int pair, int step, int length) {
        const int low = 2 * pair - (pair & (step - 1)), high = low + step;
        const uint64_t first = shared[low], second = shared[high];
        if ((first > second) != ((low & length) == 0)) return;
        shared[low] = second;
        shared[high] = first;
    }
};

// Makes one run of each two: every key goes to its number in its own run plus that of smaller keys in the other one.
// Keys behind the limit are left away.
struct Merge {
    Keys keys;
    int from;         // the buffer
    int run_bits;     // of the length of a run
    int64_t threads;  // of an image

    YOLO_DEVICE void operator()(int64_t i) const {
        const int64_t image = i / threads, found = keys.found[image];
        if (int64_t{1} << run_bits >= found) return;
        // Not by a computed index: the arguments would be copied to memory for it.
        const uint64_t* const source = (from == 0 ? keys.buffers[0] : keys.buffers[1]) + image * keys.capacity;
        uint64_t* const target = (from == 0 ? keys.buffers[1] : keys.buffers[0]) + image * keys.capacity;
        for (int64_t k = i % threads; k < found; k += threads) move(source, target, k, found);
    }

private:
    YOLO_DEVICE void move(const uint64_t* source, uint64_t* target, int64_t k, int64_t found) const {
        const int64_t run = int64_t{1} << run_bits, number = k >> run_bits, at = k & (run - 1);
        if (at >= keys.limit) return;
        const int64_t other = (number ^ 1) << run_bits;
        int64_t length = other < found ? found - other : 0;
        length = length < run ? length : run;
        length = length < keys.limit ? length : keys.limit;
        const uint64_t key = source[k];
        const int64_t place = at + smaller_keys(source + other, length, key);
        if (place < keys.limit) target[((number >> 1) << (run_bits + 1)) + place] = key;
    }

    YOLO_DEVICE static int64_t smaller_keys(const uint64_t* run, int64_t length, uint64_t key) {
        int64_t low = 0;
        for (int64_t high = length; low < high;) {
            const int64_t middle = (low + high) / 2;
            if (run[middle] < key) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }
};

}  // namespace

void sort(const Keys& keys, int64_t images, Stream stream) {
    const int64_t blocks = std::min((keys.capacity + kTile - 1) / kTile, kMostBlocks);
    yolo::cuda::blocks(stream, images * blocks, SortTiles::kShared, SortTiles{keys, blocks});
    const int64_t wanted = (keys.capacity + kThreadsOfBlock - 1) / kThreadsOfBlock;
    const int64_t threads = std::min(wanted, kMostBlocks) * kThreadsOfBlock;
    int from = 0;
    for (int bits = kTileBits; int64_t{1} << bits < keys.capacity; ++bits, from = 1 - from) {
        each(stream, images * threads, Merge{keys, from, bits, threads});
    }
}

}  // namespace yolo::ops::cuda
