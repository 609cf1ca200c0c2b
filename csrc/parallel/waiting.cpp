#include "parallel/waiting.h"

#include <linux/futex.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <utility>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace yolo::parallel {
namespace {

using Nanoseconds = int64_t;

Nanoseconds env(const char* name, Nanoseconds otherwise) {
    const char* text = std::getenv(name);
    return text ? std::atoll(text) : otherwise;
}

const Nanoseconds kBusy = env("Y_BUSY", 200'000);      // longest busy wait
const Nanoseconds kShort = env("Y_SHORT", 0);
const Nanoseconds kGap = env("Y_GAP", 30'000);         // between two looks: this thread was interrupted
const Nanoseconds kFactor = env("Y_FACTOR", 32);
const Nanoseconds kConfirm = env("Y_CONFIRM", 1);
const Nanoseconds kMost = env("Y_MOST", 200'000'000);  // so long afterwards nobody waits busily

// Whether another thread has taken this one's core since the last question.
bool interrupted() {
    thread_local int64_t seen = 0;
    if (!kConfirm) return true;
    rusage used{};
    getrusage(RUSAGE_THREAD, &used);
    return std::exchange(seen, used.ru_nivcsw) != used.ru_nivcsw;
}

// The cores are shared with others until then.
std::atomic<Nanoseconds> shared_until{0};

Nanoseconds now() {
    return std::chrono::steady_clock::now().time_since_epoch().count();
}

void relax() {
#if defined(__x86_64__) || defined(__i386__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

void futex_wait(const std::atomic<uint32_t>& word, uint32_t value) {
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void futex_wake(const std::atomic<uint32_t>& word) {
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
}

bool equal(uint32_t value, uint32_t old) { return value == old; }
bool not_zero(uint32_t value, uint32_t) { return value != 0; }

}  // namespace

void Signal::wake() {
    if (sleepers_.load() != 0) futex_wake(word_);
}

void Signal::set(uint32_t value) {
    word_.store(value);
    wake();
}

void Signal::count_down() {
    if (word_.fetch_sub(1) == 1) wake();
}

bool Signal::spin_while(bool (*still)(uint32_t, uint32_t), uint32_t old) const {
    Nanoseconds last = now();
    const bool shared = last < shared_until.load(std::memory_order_relaxed);
    for (const Nanoseconds end = last + (shared ? kShort : kBusy); last < end;) {
        for (int look = 0; look < 8; ++look) {
            if (!still(value(), old)) return true;
            relax();
        }
        const Nanoseconds time = now();
        if (!shared && time - last > kGap && interrupted()) {
            shared_until.store(time + std::min(kMost, kFactor * (time - last)), std::memory_order_relaxed);
            break;
        }
        last = time;
    }
    return !still(value(), old);
}

uint32_t Signal::await_other(uint32_t old) {
    if (!spin_while(equal, old)) {
        sleepers_.fetch_add(1);
        while (word_.load() == old) futex_wait(word_, old);
        sleepers_.fetch_sub(1);
    }
    return value();
}

void Signal::await_zero() {
    if (!spin_while(not_zero, 0)) {
        sleepers_.fetch_add(1);
        for (uint32_t left = word_.load(); left != 0; left = word_.load()) futex_wait(word_, left);
        sleepers_.fetch_sub(1);
    }
}

}  // namespace yolo::parallel
