// The private module yolo._program: compiled programs for Python.
#include <pybind11/pybind11.h>

#include "net/bindings.h"
#include "program/common/bindings.h"
#include "program/cpu/bindings.h"
#include "program/detection/bindings.h"
#include "program/cpu/onednn.h"
#include "program/cuda/cuda.h"
#include "program/python_runnable.h"
#include "program/common/runnable.h"
#include "program/step/bindings.h"

namespace py = pybind11;

PYBIND11_MODULE(_program, module) {
    using namespace yolo::program;
    module.doc() = "Executors of compiled programs.";
    py::class_<Runnable>(module, "Runnable").def_property_readonly("address", [](const Runnable& self) {
        return reinterpret_cast<std::intptr_t>(&self);
    });
    bind_python_runnable(module);
    yolo::net::bind_net(module);
    module.def("instruction_set", &instruction_set);
    module.def("channel_block", &channel_block);
    module.def("has_bfloat16", &has_bfloat16);
    module.def("default_threads", &default_threads);
    module.def("weight_limit", &weight_limit);
    module.def("cuda_unavailable", &cuda::unavailable);
    bind_common(module);
    bind_cpu(module);
    bind_detection(module);
    bind_step(module);
}
