// The words in which kernels are written. nvcc makes code for GPUs of them, and any C++ compiler code for the CPU, so
// that tests run the same source. A kernel is an object that is copied to the device and called there by
//
//   each(stream, count, kernel)            kernel(i) for every i below `count`, in any order and at the same time;
//   blocks(stream, count, bytes, kernel)   kernel(block) in Kernel::kThreads threads (a multiple of 32, at most 1024)
//                                          of each of `count` blocks, with so many bytes of shared memory a block.
//
// A Block has thread(), lane(), index(), sync(), shared<T>(offset in bytes), and of its thread's warp shuffle(value,
// lane), shuffle_xor(value, mask), ballot(condition), in which all 32 lanes take part. A thread that has returned takes
// part in nothing any more: never let one return before a sync() or a warp's exchange that others reach. On the CPU a
// thread that waits for ever ends the process with a line. Sums have one order, whatever the machine: no kernel adds
// floats atomically.
#pragma once

#include <cstdint>

#include "cuda/device.h"
#include "cuda/half.h"
#include "cuda/words.h"
#ifdef __CUDACC__
#include "cuda/gpu/launch.h"
#else
#include "cuda/host/launch.h"
#endif

namespace yolo::cuda {

constexpr int kWarp = 32;

// The sum of the warp's values, for all of its lanes.
template <class T>
YOLO_DEVICE T warp_sum(const Block& block, T value) {
    for (int mask = kWarp / 2; mask > 0; mask /= 2) value += block.shuffle_xor(value, mask);
    return value;
}

// The sum of the block's values, for all of its threads; `scratch`: shared, one T a warp. Threads may use it again after
// the next sync().
template <class T>
YOLO_DEVICE T block_sum(const Block& block, T value, T* scratch) {
    value = warp_sum(block, value);
    if (block.lane() == 0) scratch[block.thread() / kWarp] = value;
    block.sync();
    T total{};
    for (int warp = 0; warp < block.threads() / kWarp; ++warp) total += scratch[warp];
    return total;
}

}  // namespace yolo::cuda
