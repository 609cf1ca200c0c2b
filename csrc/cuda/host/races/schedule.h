// In which order threads run, as far as the host can say: another one for each number.
#pragma once

#include <cstdint>

namespace yolo::cuda {

// Of kernels that begin from now on.
void set_schedule(uint32_t number);

}  // namespace yolo::cuda
