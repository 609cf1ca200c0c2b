// Work shared out over threads: always the same piece to the same thread, so that sums come out equal every time.
#pragma once

#include <omp.h>

#include <cstdint>

namespace yolo::program {

// Calls action(thread, begin, end) on each of `threads` threads with its part of 0 .. total.
template <class Action>
void share(int threads, int64_t total, const Action& action) {
#pragma omp parallel num_threads(threads)
    {
        const int64_t thread = omp_get_thread_num(), number = omp_get_num_threads();
        action(static_cast<int>(thread), total * thread / number, total * (thread + 1) / number);
    }
}

}  // namespace yolo::program
