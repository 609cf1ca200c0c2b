// How a thread waits for another one: busily for a moment, then asleep.
#pragma once

#include <atomic>
#include <cstdint>

namespace yolo::parallel {

// A number that threads wait for. Between the loops of a program a wait lasts microseconds, and to fall asleep and be
// woken takes as long, so a thread first waits busily: for longer than a loop's threads differ while the cores are this
// process's own, for a moment where others use them too (SharedCores), whose work it would hold up, or that of the very
// thread that it waits for.
class Signal {
public:
    uint32_t value() const { return word_.load(std::memory_order_acquire); }

    // Before anybody waits for it.
    void reset(uint32_t value) { word_.store(value, std::memory_order_relaxed); }

    // Change it and wake who waits.
    void set(uint32_t value);
    // Take one away; wakes who waits when none is left.
    void count_down();

    // Returns when it is no longer `old`, and whether the thread has slept meanwhile.
    bool await_other(uint32_t old);
    // Returns when it is zero.
    void await_zero();

private:
    void wake();

    alignas(64) std::atomic<uint32_t> word_{0};
    std::atomic<uint32_t> sleepers_{0};
};

// Notices that others use this process's cores: a thread that never sleeps, but has had less of a core than time went by.
// One for each thread, which calls it.
class SharedCores {
public:
    SharedCores() { restart(); }
    // Forget the time until now: the thread has slept.
    void restart();
    // Whether a core was taken from the thread since the last look decides how all threads wait for some time.
    void look();

private:
    int64_t time_ = 0, own_time_ = 0;  // nanoseconds
};

}  // namespace yolo::parallel
