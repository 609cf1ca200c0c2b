// Splits independent work over threads that live only as long as the call: nothing to clean up, safe to call
// from several threads at once, and safe in a process that forks.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace yolo::ops {

// 0 stands for "as many as the machine has".
inline std::atomic<int> requested_threads{0};

inline int num_threads() {
    const int requested = requested_threads.load();
    return requested > 0 ? requested : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

inline void set_num_threads(int threads) {
    requested_threads.store(threads);
}

// Calls body(begin, end) for pieces of at most `grain` items that together cover [0, count). The first
// exception of any piece is thrown again here, after every thread has ended.
template <class Body>
void parallel_for(int64_t count, int64_t grain, const Body& body) {
    grain = std::max<int64_t>(grain, 1);
    const int64_t pieces = (count + grain - 1) / grain;
    const int64_t workers = std::min<int64_t>(num_threads(), pieces);
    if (workers <= 1) {
        if (count > 0) body(0, count);
        return;
    }
    std::atomic<int64_t> next{0};
    std::exception_ptr failure;
    std::mutex failure_mutex;
    const auto work = [&] {
        try {
            for (int64_t piece = next++; piece < pieces; piece = next++) {
                body(piece * grain, std::min(count, (piece + 1) * grain));
            }
        } catch (...) {
            next = pieces;
            const std::lock_guard<std::mutex> lock(failure_mutex);
            if (!failure) failure = std::current_exception();
        }
    };
    std::vector<std::thread> threads;
    threads.reserve(workers - 1);
    try {
        for (int64_t i = 1; i < workers; ++i) threads.emplace_back(work);
    } catch (const std::system_error&) {
        // The machine gives no more threads; those that run, and this one, do all the work.
    }
    work();
    for (std::thread& thread : threads) thread.join();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace yolo::ops
