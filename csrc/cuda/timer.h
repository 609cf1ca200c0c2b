// How long a device takes for work on data that lies there, without the host's copies: for benchmarks.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "cuda/device.h"

namespace yolo::cuda {

class Timer {
public:
    using Give = std::function<void(Stream)>;

    // Raises std::invalid_argument for less than one run.
    explicit Timer(int64_t runs);

    // Gives the work `runs` times as one recording each, as programs do, and waits for the last. The work was given
    // once before, since a device loads kernels when they are first started.
    void time(const std::string& name, Stream stream, const Give& give);
    // Milliseconds a run, by name.
    const std::map<std::string, double>& ms() const { return ms_; }

private:
    int64_t runs_;
    std::map<std::string, double> ms_;
};

// Gives the work to the stream, and again to a timer where there is one: what the work adds up or moves is then so many
// times in its results.
void give(const Timer::Give& work, Stream stream, Timer* timer = nullptr, const std::string& name = "run");

// Timer, and copy(bytes, timer), the copy of one buffer of the device's to another: what its memory can do.
void bind_timer(pybind11::module_& module);

}  // namespace yolo::cuda
