#include "cuda/gpu/current.h"

#include <cuda_runtime_api.h>
#include <unistd.h>

#include <mutex>
#include <stdexcept>
#include <string>

#include "cuda/device.h"
#include "cuda/gpu/runtime.h"

namespace yolo::cuda {
namespace {

struct Chosen {
    std::mutex mutex;
    int index = 0;
    pid_t settled_by = 0;  // 0: not yet
};

Chosen& chosen() {
    static auto* const one = new Chosen;
    return *one;
}

}  // namespace

void use(int index) {
    const std::lock_guard<std::mutex> lock(chosen().mutex);
    if (chosen().settled_by != 0 && chosen().index != index) {
        throw std::invalid_argument("this process works on GPU " + std::to_string(chosen().index) +
                                    " already: each GPU takes a process of its own");
    }
    chosen().index = index, chosen().settled_by = getpid();
}

int current_device() {
    const std::lock_guard<std::mutex> lock(chosen().mutex);
    const pid_t process = getpid();
    if (chosen().settled_by == 0) chosen().settled_by = process;
    if (chosen().settled_by != process) {
        throw DeviceError("CUDA does not run in a fork's child: start processes by 'spawn'");
    }
    return chosen().index;
}

Entered::Entered() : own_(current_device()) {
    check(cudaGetDevice(&former_), "asking for the thread's GPU");
    if (former_ != own_) check(cudaSetDevice(own_), "taking the GPU");
}

Entered::~Entered() {
    if (former_ != own_) cudaSetDevice(former_);
}

}  // namespace yolo::cuda
