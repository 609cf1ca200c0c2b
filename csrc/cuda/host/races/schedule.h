// In which order threads run, as far as the host can say: another one for each number.
#pragma once

#include <cstdint>

namespace yolo::cuda {

// Of kernels that begin from now on.
#ifdef YOLO_REAL_THREADS
void set_schedule(uint32_t number);
#else
inline void set_schedule(uint32_t) {}  // threads that take turns have one order
#endif

}  // namespace yolo::cuda
