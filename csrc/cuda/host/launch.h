// Kernels on the CPU. A block's threads take turns on one thread of the machine and change at sync() and at exchanges
// of a warp (blocks.cpp); built with YOLO_REAL_THREADS each is a thread of the machine, so that ThreadSanitizer sees
// every race (races/threads.cpp).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "cuda/device.h"

namespace yolo::cuda {

// What the threads of one block share. Threads wait at a barrier until all that have not returned have come.
class BlockState {
public:
    virtual ~BlockState() = default;
    virtual void sync() = 0;
    // The barrier of one warp. It orders no memory, as exchanges of a warp order none on a GPU.
    virtual void sync_warp(int warp) = 0;

    // What is in shared memory at first is anything: here it is what hides no forgotten initialisation.
    void prepare(int threads, size_t shared_bytes) {
        shared.resize((shared_bytes + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t));
        if (shared_bytes > 0) std::memset(shared.data(), 0xff, shared.size() * sizeof(std::max_align_t));
        slots.reset(new std::atomic<uint64_t>[static_cast<size_t>(threads)]());
    }
    void tell(int thread, uint64_t word) { slots[static_cast<size_t>(thread)].store(word, std::memory_order_relaxed); }
    uint64_t told(int thread) const { return slots[static_cast<size_t>(thread)].load(std::memory_order_relaxed); }

    std::vector<std::max_align_t> shared;

private:
    std::unique_ptr<std::atomic<uint64_t>[]> slots;  // what the lanes of a warp tell one another, one a thread
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
        uint64_t word = 0;
        std::memcpy(&word, &value, sizeof value);
        state_->tell(thread_, word);
        state_->sync_warp(thread_ / 32);
        word = state_->told(thread_ / 32 * 32 + lane % 32);
        std::memcpy(&value, &word, sizeof value);
        state_->sync_warp(thread_ / 32);
        return value;
    }
    template <class T>
    T shuffle_xor(T value, int mask) const {
        return shuffle(value, lane() ^ mask);
    }
    uint32_t ballot(bool condition) const {
        uint32_t bits = 0;
        state_->tell(thread_, condition);
        state_->sync_warp(thread_ / 32);
        for (int i = 0; i < 32; ++i) bits |= static_cast<uint32_t>(state_->told(thread_ / 32 * 32 + i)) << i;
        state_->sync_warp(thread_ / 32);
        return bits;
    }

private:
    BlockState* state_;
    int thread_, threads_;
    int64_t index_;
};

// kernel(block) in each thread of each block.
void run_blocks(int64_t count, int threads, size_t shared_bytes, const std::function<void(const Block&)>& kernel);

#ifdef YOLO_REAL_THREADS
void run_each(int64_t count, const std::function<void(int64_t)>& kernel);
#endif

template <class Kernel>
void each(Stream, int64_t count, const Kernel& kernel) {
#ifdef YOLO_REAL_THREADS
    run_each(count, [&](int64_t i) { kernel(i); });
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
