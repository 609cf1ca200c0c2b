// A Runnable that knows how long its last run took.
#pragma once

#include <atomic>
#include <chrono>

#include "program/common/runnable.h"

namespace yolo::program {

class TimedRunnable : public Runnable {
public:
    void run(const void* const* inputs, void* const* outputs) final {
        const auto begin = std::chrono::steady_clock::now();
        compute(inputs, outputs);
        seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }
    double seconds() const { return seconds_; }

private:
    virtual void compute(const void* const* inputs, void* const* outputs) = 0;

    std::atomic<double> seconds_{0.0};
};

}  // namespace yolo::program
