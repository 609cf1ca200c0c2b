// What oneDNN's compiled loops ask OpenMP's library for (GCC's names for it), done by this process's own team.
//
// GCC's own library waits as long as GOMP_SPINCOUNT says, whatever else runs on the cores: much too long beside another
// process, or much too short alone (waiting.h does better). The dynamic linker finds these functions before that library's,
// because the module that holds them is what loads oneDNN. The calls are described in "The libgomp ABI" (GNU).
#include <algorithm>

#include "parallel/team.h"

#define YOLO_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// A thread's way through a loop with a fixed plan: its pieces are `stride` apart.
struct Pieces {
    long next, end, step, size, stride;
};
thread_local Pieces pieces;

bool take(long* first, long* last) {
    Pieces& own = pieces;
    const bool up = own.step > 0;
    if (up ? own.next >= own.end : own.next <= own.end) return false;
    *first = own.next;
    *last = up ? std::min(own.next + own.size, own.end) : std::max(own.next + own.size, own.end);
    own.next += own.stride;
    return true;
}

}  // namespace

YOLO_EXPORT int omp_get_max_threads() { return yolo::parallel::preferred_threads(); }
YOLO_EXPORT int omp_get_num_threads() { return yolo::parallel::seat().threads; }
YOLO_EXPORT int omp_get_thread_num() { return yolo::parallel::seat().thread; }
YOLO_EXPORT int omp_in_parallel() { return yolo::parallel::seat().threads > 1; }

YOLO_EXPORT void GOMP_parallel_start(void (*action)(void*), void* data, unsigned threads) {
    yolo::parallel::begin(threads > 0 ? static_cast<int>(threads) : yolo::parallel::preferred_threads(), action, data);
}
YOLO_EXPORT void GOMP_parallel_end() { yolo::parallel::end(); }
YOLO_EXPORT void GOMP_barrier() { yolo::parallel::meet(); }

// Pieces of `chunk` steps, dealt out in turn; with a chunk of 0 one piece each, the first ones a step longer.
YOLO_EXPORT bool GOMP_loop_static_start(long start, long end, long step, long chunk, long* first, long* last) {
    const yolo::parallel::Seat own = yolo::parallel::seat();
    if (own.threads == 1) {
        pieces = {start, end, step, end - start, end - start};
        return take(first, last);
    }
    if (chunk > 0) {
        pieces = {start + own.thread * chunk * step, end, step, chunk * step, own.threads * chunk * step};
        return take(first, last);
    }
    const long steps = std::max(0L, (end - start + step + (step > 0 ? -1 : 1)) / step);
    const long each = steps / own.threads, longer = steps % own.threads;
    const long begin = own.thread * each + std::min<long>(own.thread, longer), count = each + (own.thread < longer);
    pieces = {start + begin * step, end, step, count * step, steps * step};
    return count > 0 && take(first, last);
}
YOLO_EXPORT bool GOMP_loop_static_next(long* first, long* last) { return take(first, last); }
YOLO_EXPORT void GOMP_loop_end_nowait() {}
