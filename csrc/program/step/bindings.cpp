#include <pybind11/stl.h>

#include "bindings.h"
#include "program/step/step.h"

namespace yolo::program {
namespace {

namespace py = pybind11;

}  // namespace

void bind_step(py::module_& module) {
    py::class_<GradientStep, TimedRunnable>(module, "GradientStep")
        .def(py::init<Executor&, DetectionLoss, int64_t, int64_t>(), py::keep_alive<1, 2>(), py::arg("executor"),
             py::arg("loss"), py::arg("places"), py::arg("ranks") = 1);
    py::class_<Contribution, Runnable>(module, "Contribution")
        .def(py::init<int64_t, int64_t, int64_t, int64_t>(), py::arg("parameters"), py::arg("frozen"), py::arg("size"),
             py::arg("ranks"));
    py::class_<UpdateStep, TimedRunnable>(module, "UpdateStep")
        .def(py::init([](const std::string& name, std::array<int64_t, 3> groups, int64_t statistics, float decay,
                         int64_t ranks, int64_t frozen) {
                 const ops::UpdateSizes sizes{groups[0], groups[1], groups[2], statistics};
                 return std::make_unique<UpdateStep>(ops::optimizer_of(name), sizes, decay, ranks, frozen);
             }),
             py::arg("optimizer"), py::arg("group_sizes"), py::arg("statistics"), py::arg("weight_decay"),
             py::arg("ranks") = 1, py::arg("frozen") = 0);
}

}  // namespace yolo::program
