// The threads of this process that share the work of a loop. oneDNN's loops run on them too: see openmp.cpp.
#pragma once

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdint>
#include <exception>

namespace yolo::parallel {

// Which of how many threads of a loop this is; outside of a loop, 0 of 1.
struct Seat {
    int thread = 0, threads = 1;
};
Seat seat();

// How many threads this process's loops have: what was set, such as a rank's share of the cores, else its cores (0).
int default_threads();
void set_default_threads(int threads);

// The same for the loops of the calling thread, which runs or builds a program of a number of its own.
int preferred_threads();
void prefer_threads(int threads);

// Loops of one thread follow each other while it holds this: a program holds it from its first loop to its last. Another
// thread's loops wait until then. One inside of another is nothing.
class Turn {
public:
    Turn();
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
};

// Runs action(data) on `threads` threads, the caller among them, and returns when all are through. A loop
// inside a loop has one thread. In a fork's child the threads are made anew. `action` must not throw.
void run(int threads, void (*action)(void*), void* data);
// The same in two halves, between which the caller does its part: what OpenMP's compilers ask for.
void begin(int threads, void (*action)(void*), void* data);
void end();

// Inside of a loop: waits for its other threads.
void meet();

// Calls action(thread, begin, end) on each of `threads` threads with its part of 0 .. total: always the same part to the
// same thread, so that sums come out equal every time.
template <class Action>
void share(int threads, int64_t total, const Action& action) {
    struct Call {
        const Action& action;
        int64_t total;
    } call{action, total};
    run(threads,
        [](void* data) {
            const auto& given = *static_cast<const Call*>(data);
            const Seat own = seat();
            given.action(own.thread, given.total * own.thread / own.threads,
                         given.total * (own.thread + 1) / own.threads);
        },
        &call);
}

// Calls action(begin, end) for pieces of at most `grain` items that together are 0 .. total, as the process's threads, at
// most `most` of them, become free for them: for work whose pieces differ, and whose results do not depend on who does
// them. When all are through it throws what a piece threw first; pieces that nobody had begun by then are left out.
template <class Action>
void deal(int64_t total, int64_t grain, const Action& action, int64_t most = INT_MAX) {
    const int64_t pieces = (total + grain - 1) / grain;
    std::atomic<int64_t> next{0};
    std::atomic<bool> failed{false};
    std::exception_ptr failure;
    share(static_cast<int>(std::min({int64_t{default_threads()}, pieces, most})), pieces, [&](int, int64_t, int64_t) {
        try {
            for (int64_t piece = next++; piece < pieces; piece = next++) {
                action(piece * grain, std::min(total, (piece + 1) * grain));
            }
        } catch (...) {
            next = pieces;
            if (!failed.exchange(true)) failure = std::current_exception();
        }
    });
    if (failure) std::rethrow_exception(failure);
}

}  // namespace yolo::parallel
