// Kernels on the CPU. A block's threads take turns on one thread of the machine and change at sync() and at exchanges
// of a warp; built with YOLO_REAL_THREADS each is a thread of the machine, so that ThreadSanitizer sees every race.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "cuda/device.h"

namespace yolo::cuda {

// What the threads of one block share. Threads wait at a barrier until all that have not returned have come.
class BlockState {
public:
    virtual ~BlockState() = default;
    virtual void sync() = 0;
    // The barrier of one warp.
    virtual void sync_warp(int warp) = 0;

    std::vector<std::max_align_t> shared;
    std::vector<uint64_t> slots;  // what the lanes of a warp tell one another, one a thread
};

class Block {
public:
    Block(BlockState& state, int thread, int threads, int64_t index)
        : state_(&state), thread_(thread), threads_(threads), index_(index) {}
    int thread() const { return thread_; }
    int threads() const { return threads_; }
    int lane() const { return thread_ % 32; }
    int64_t index() const { return index_; }
    void sync() const { state_->sync(); }
    template <class T>
    T* shared(size_t offset = 0) const {
        return reinterpret_cast<T*>(reinterpret_cast<std::byte*>(state_->shared.data()) + offset);
    }
    template <class T>
    T shuffle(T value, int lane) const {
        static_assert(sizeof(T) <= sizeof(uint64_t));
        std::memcpy(&state_->slots[static_cast<size_t>(thread_)], &value, sizeof value);
        state_->sync_warp(thread_ / 32);
        std::memcpy(&value, &state_->slots[static_cast<size_t>(thread_ / 32 * 32 + lane % 32)], sizeof value);
        state_->sync_warp(thread_ / 32);
        return value;
    }
    template <class T>
    T shuffle_xor(T value, int mask) const {
        return shuffle(value, lane() ^ mask);
    }
    uint32_t ballot(bool condition) const {
        uint32_t bits = 0;
        state_->slots[static_cast<size_t>(thread_)] = condition;
        state_->sync_warp(thread_ / 32);
        for (int i = 0; i < 32; ++i) {
            bits |= static_cast<uint32_t>(state_->slots[static_cast<size_t>(thread_ / 32 * 32 + i)] != 0) << i;
        }
        state_->sync_warp(thread_ / 32);
        return bits;
    }

private:
    BlockState* state_;
    int thread_, threads_;
    int64_t index_;
};

// kernel(block) in each thread of each block, one block after the other.
void run_blocks(int64_t count, int threads, size_t shared_bytes, const std::function<void(const Block&)>& kernel);

template <class Kernel>
void each(Stream, int64_t count, const Kernel& kernel) {
#ifdef YOLO_REAL_THREADS
    constexpr int64_t kThreads = 4;
    std::vector<std::thread> threads;
    for (int64_t thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([=, &kernel] {
            for (int64_t i = thread; i < count; i += kThreads) kernel(i);
        });
    }
    for (std::thread& thread : threads) thread.join();
#else
    for (int64_t i = 0; i < count; ++i) kernel(i);
#endif
}

template <class Kernel>
void blocks(Stream, int64_t count, size_t shared_bytes, const Kernel& kernel) {
    static_assert(Kernel::kThreads % 32 == 0 && Kernel::kThreads <= 1024);
    run_blocks(count, Kernel::kThreads, shared_bytes, [&](const Block& block) { kernel(block); });
}

}  // namespace yolo::cuda
