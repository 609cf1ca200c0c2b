// How a thread waits for another one: busily for a moment, then asleep.
#pragma once

#include <atomic>
#include <cstdint>

namespace yolo::parallel {

// A number that threads wait for. Between the loops of a program a wait lasts microseconds and to fall asleep takes
// longer than that, so a thread first waits busily. But a busy wait on a core that somebody else needs, another process or
// the very thread that is waited for, costs a whole time slice: a busy wait that notices that it was interrupted ends,
// and for some time all waits of this process go to sleep at once.
class Signal {
public:
    uint32_t value(std::memory_order order = std::memory_order_acquire) const { return word_.load(order); }

    // For the one who waits; before anybody can change it.
    void reset(uint32_t value) { word_.store(value, std::memory_order_relaxed); }

    // Change it and wake who waits.
    void set(uint32_t value);
    // Take one away; wakes who waits when none is left.
    void count_down();

    // Returns the new value when it is no longer `old`.
    uint32_t await_other(uint32_t old);
    // Returns when it is zero.
    void await_zero();

private:
    void wake();
    bool spin_while(bool (*still)(uint32_t, uint32_t), uint32_t old) const;

    alignas(64) std::atomic<uint32_t> word_{0};
    std::atomic<uint32_t> sleepers_{0};
};

}  // namespace yolo::parallel
