#include "cuda/timer.h"

#include <pybind11/stl.h>

#include <chrono>
#include <stdexcept>

namespace yolo::cuda {
namespace {

void time_copy(size_t bytes, Timer& timer) {
    const OwnStream stream;
    const DeviceBuffer from(bytes), to(bytes);
    give([&](Stream where) { copy(to.data(), from.data(), bytes, where); }, stream.get(), &timer);
}

}  // namespace

Timer::Timer(int64_t runs) : runs_(runs) {
    if (runs < 1) throw std::invalid_argument("runs: expected 1 or more");
}

void Timer::time(const std::string& name, Stream stream, const Give& work) {
    const Recording recording(work);
    recording.start(stream);  // the first start of a recording also uploads it
    synchronise(stream);
    const auto begin = std::chrono::steady_clock::now();
    for (int64_t run = 0; run < runs_; ++run) recording.start(stream);
    synchronise(stream);
    const std::chrono::duration<double, std::milli> all = std::chrono::steady_clock::now() - begin;
    ms_[name] = all.count() / static_cast<double>(runs_);
}

void give(const Timer::Give& work, Stream stream, Timer* timer, const std::string& name) {
    work(stream);
    if (timer == nullptr) return;
    synchronise(stream);
    timer->time(name, stream, work);
}

void bind_timer(pybind11::module_& module) {
    using pybind11::arg;
    pybind11::class_<Timer>(module, "Timer")
        .def(pybind11::init<int64_t>(), arg("runs"))
        .def_property_readonly("ms", &Timer::ms);
    module.def("copy", &time_copy, arg("bytes"), arg("timer"));
}

}  // namespace yolo::cuda
