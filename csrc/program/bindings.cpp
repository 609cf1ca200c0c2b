// The private module yolo._program: compiled programs for Python.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "program/detection/bindings.h"
#include "program/exchange.h"
#include "program/inference/bindings.h"
#include "program/onednn.h"
#include "program/python_runnable.h"
#include "program/runnable.h"
#include "program/step/bindings.h"
#include "program/training/bindings.h"

namespace py = pybind11;

namespace {

void bind_exchange(py::module_& module) {
    using namespace yolo::program;
    using Sums = py::array_t<double, py::array::c_style>;
    const py::call_guard<py::gil_scoped_release> free;
    py::class_<Exchange, std::shared_ptr<Exchange>>(module, "Exchange")
        .def("add_up", [](Exchange& self, Sums& values) {
            double* data = values.mutable_data();
            const auto count = static_cast<size_t>(values.size());
            const py::gil_scoped_release released;
            self.add_up(data, count);
        }, py::arg("values").noconvert());
    py::class_<ExchangeListener>(module, "ExchangeListener")
        .def(py::init<uint64_t>(), py::arg("token"))
        .def_property_readonly("port", &ExchangeListener::port)
        .def_property_readonly("token", &ExchangeListener::token)
        .def("accept", &ExchangeListener::accept, py::arg("ranks"), py::arg("seconds"), free);
    module.def("connect_exchange", &connect_exchange, py::arg("host"), py::arg("port"), py::arg("token"),
               py::arg("rank"), py::arg("ranks"), py::arg("seconds"), free);
}

}  // namespace

PYBIND11_MODULE(_program, module) {
    using namespace yolo::program;
    module.doc() = "Executors of compiled programs.";
    py::class_<Runnable>(module, "Runnable").def_property_readonly("address", [](const Runnable& self) {
        return reinterpret_cast<std::intptr_t>(&self);
    });
    bind_python_runnable(module);
    bind_exchange(module);
    module.def("instruction_set", &instruction_set);
    module.def("channel_block", &channel_block);
    module.def("default_threads", &default_threads);
    bind_inference(module);
    bind_detection(module);
    bind_training(module);
    bind_step(module);
}
