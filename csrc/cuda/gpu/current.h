// The GPU of this process, as the calling thread's.
#pragma once

namespace yolo::cuda {

// While it lives the process's GPU is the current one of this thread; then the former one is again, as others in the
// process (PyTorch) may count on theirs. Raises DeviceError where CUDA does not start,
// and in a fork's child.
class Entered {
public:
    Entered();
    ~Entered();
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;

private:
    int former_ = 0, own_ = 0;
};

// The number of the process's GPU, which is settled by asking. Raises DeviceError in a fork's child of the process that
// settled it.
int current_device();

}  // namespace yolo::cuda
