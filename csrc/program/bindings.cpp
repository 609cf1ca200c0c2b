// The private module yolo._native: all that Python has of this project's C++, but for what touches OneFlow's library.
#include <pybind11/pybind11.h>

#include <string>

#include "bindings.h"
#include "parallel/team.h"
#include "program/common/bindings.h"
#include "program/common/timed_runnable.h"
#include "program/cpu/onednn.h"
#include "render/bindings.h"

namespace py = pybind11;

namespace {

void set_default_threads(int threads) {
    if (threads < 0) throw py::value_error("threads: expected 0 or more, got " + std::to_string(threads));
    yolo::parallel::set_default_threads(threads);
}

}  // namespace

PYBIND11_MODULE(_native, module) {
    using namespace yolo::program;
    module.doc() = "Operators, executors of compiled programs, and what ranks say to each other.";
    py::class_<Runnable>(module, "Runnable").def_property_readonly("address", [](const Runnable& self) {
        return reinterpret_cast<std::intptr_t>(&self);
    });
    py::class_<TimedRunnable, Runnable>(module, "TimedRunnable")
        .def_property_readonly("seconds", &TimedRunnable::seconds);
    yolo::bind_ops(module);
    yolo::net::bind_net(module);
    module.def("instruction_set", &instruction_set);
    module.def("channel_block", &channel_block);
    module.def("has_bfloat16", &has_bfloat16);
    module.def("has_amx", &has_amx);
    module.def("default_threads", &yolo::parallel::default_threads);
    module.def("set_default_threads", &set_default_threads, py::arg("threads"));
    module.def("weight_limit", &weight_limit);
    bind_common(module);
    bind_cpu(module);
    bind_detection(module);
    bind_step(module);
    yolo::bind_render(module);
}
