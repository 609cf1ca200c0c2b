// The threads of this process that share the work of a loop. oneDNN's loops run on them too: see openmp.cpp.
#pragma once

#include <cstdint>

namespace yolo::parallel {

// Which of how many threads of a loop this is; outside of a loop, 0 of 1.
struct Seat {
    int thread = 0, threads = 1;
};
Seat seat();

// How many cores this process may run on.
int cores();

// How many threads a loop has that asks for no number. Set for the calling thread alone; before that it is OMP_NUM_THREADS,
// or the number of cores where that is fewer or there is none.
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

// Calls action(index) for each index below `total`, on as many threads as this one prefers.
template <class Action>
void each(int64_t total, const Action& action) {
    share(preferred_threads(), total, [&action](int, int64_t begin, int64_t end) {
        for (int64_t index = begin; index < end; ++index) action(index);
    });
}

}  // namespace yolo::parallel
