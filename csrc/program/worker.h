// The thread on which programs run.
#pragma once

#include <functional>

namespace yolo::program {

// Runs `work` on the one thread that all programs of the process share, and waits for it; an exception comes back.
//
// OpenMP keeps a team of threads for every thread that ever asked for one, and lets no team wait busily as soon as all
// teams together have more threads than the machine has cores. OneFlow calls programs from many threads of its own; on
// one thread there is one team, which passes from loop to loop in microseconds (YOLOv5n at 640 in a graph: 13.5 ms
// instead of 15.5). Programs would take turns anyway. A fork's child has a worker of its own.
void run_on_worker(const std::function<void()>& work);

}  // namespace yolo::program
