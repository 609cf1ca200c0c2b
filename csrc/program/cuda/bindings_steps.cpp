// What programs use: executors, detectors and steps of training. Arrays are the host's. The base classes are those of
// yolo._native.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "program/common/bindings.h"
#include "program/cuda/bindings.h"
#include "program/cuda/detector.h"
#include "program/cuda/step.h"

namespace yolo::program::cuda {
namespace {

namespace py = pybind11;

using Floats = py::array_t<float, py::array::c_style>;
using Counts = py::array_t<int32_t, py::array::c_style>;
using Images = py::array_t<uint8_t, py::array::c_style>;
using Matches = py::array_t<double, py::array::c_style>;

void require_shape(const py::array& array, const Numbers& shape, const char* name) {
    const bool fits = static_cast<size_t>(array.ndim()) == shape.size() &&
                      std::equal(shape.begin(), shape.end(), array.shape());
    if (!fits) throw py::value_error(std::string(name) + ": another shape than the program takes");
}

void write(TrainVectors& vectors, const std::string& name, const Floats& values) {
    require_shape(values, {vectors.numbers(name)}, name.c_str());
    vectors.write(name, values.data());
}

Floats read(const TrainVectors& vectors, const std::string& name) {
    Floats found(vectors.numbers(name));
    vectors.read(name, found.mutable_data());
    return found;
}

Floats add_gradient(GradientStep& step, const Images& images, const Floats& labels, const Counts& counts,
                    const std::optional<Matches>& matches) {
    const Numbers& shape = step.executor().plan().images;
    require_shape(images, shape, "images");
    require_shape(labels, {shape[0], step.places(), 5}, "labels");
    require_shape(counts, {shape[0]}, "counts");
    if (matches.has_value() != (step.ranks() > 1)) throw py::value_error("matches: those of several ranks are needed");
    if (matches) require_shape(*matches, {static_cast<int64_t>(step.levels())}, "matches");
    Floats parts(ops::kLossParts);
    const void* inputs[] = {images.data(), labels.data(), counts.data(), matches ? matches->data() : nullptr};
    void* outputs[] = {parts.mutable_data()};
    const py::gil_scoped_release free;
    static_cast<Runnable&>(step).run(inputs, outputs);
    return parts;
}

float update(UpdateStep& step, const Floats& rates) {
    require_shape(rates, {static_cast<int64_t>(sizeof(ops::UpdateRates) / sizeof(float))}, "rates");
    float norm = 0.0f;
    const void* inputs[] = {rates.data()};
    void* outputs[] = {&norm};
    const py::gil_scoped_release free;
    static_cast<Runnable&>(step).run(inputs, outputs);
    return norm;
}

py::tuple detect(DetectorProgram& detector, const Images& images) {
    const Numbers& shape = detector.network().plan().images;
    require_shape(images, shape, "images");
    py::array_t<float> detections({shape[0], detector.max_det(), int64_t{6}});
    py::array_t<int32_t> counts(shape[0]);
    const void* inputs[] = {images.data()};
    void* outputs[] = {detections.mutable_data(), counts.mutable_data()};
    {
        const py::gil_scoped_release free;
        static_cast<Runnable&>(detector).run(inputs, outputs);
    }
    return py::make_tuple(detections, counts);
}

}  // namespace

void bind_steps(py::module_& module) {
    py::class_<Memory, std::shared_ptr<Memory>>(module, "Memory")
        .def(py::init<>())
        .def_property_readonly("bytes", &Memory::bytes);
    py::class_<Executor>(module, "Executor")
        .def(py::init([](const py::object& plan, std::shared_ptr<Constants> constants, std::shared_ptr<Memory> memory,
                         std::shared_ptr<Group> group) {
                 return std::make_unique<Executor>(plan_of(plan), std::move(constants), std::move(memory),
                                                   std::move(group));
             }),
             py::arg("plan"), py::kw_only(), py::arg("constants") = nullptr, py::arg("memory") = nullptr,
             py::arg("group") = nullptr)
        .def_property_readonly("steps", &Executor::steps)
        .def_property_readonly("memory_bytes", &Executor::memory_bytes);
    py::class_<DetectorProgram, TimedRunnable>(module, "DetectorProgram")
        .def(py::init<Executor&, const std::vector<Level>&, int64_t, ops::NmsSettings>(), py::keep_alive<1, 2>(),
             py::arg("network"), py::arg("levels"), py::arg("classes"), py::arg("settings"))
        .def("__call__", &detect, py::arg("images"));
    py::class_<TrainVectors>(module, "TrainVectors")
        .def(py::init<const std::array<int64_t, 5>&, bool>(), py::arg("numbers"), py::kw_only(), py::arg("scaled") = false)
        .def("write", &write, py::arg("name"), py::arg("values").noconvert())
        .def("read", &read, py::arg("name"));
    py::class_<GradientStep, TimedRunnable>(module, "GradientStep")
        .def(py::init<Executor&, const DetectionLoss&, int64_t, const TrainVectors&, int64_t>(), py::keep_alive<1, 2>(),
             py::keep_alive<1, 5>(), py::arg("executor"), py::arg("loss"), py::arg("places"), py::arg("vectors"),
             py::arg("ranks") = 1)
        .def("__call__", &add_gradient, py::arg("images"), py::arg("labels"), py::arg("counts"),
             py::arg("matches") = py::none());
    py::class_<UpdateStep, TimedRunnable>(module, "UpdateStep")
        .def(py::init([](const std::string& name, std::array<int64_t, 3> groups, int64_t statistics, float decay,
                         const TrainVectors& vectors, std::shared_ptr<Group> group, int64_t frozen) {
                 const ops::UpdateSizes sizes{groups[0], groups[1], groups[2], statistics};
                 return std::make_unique<UpdateStep>(ops::optimizer_of(name), sizes, decay, vectors, std::move(group),
                                                     frozen);
             }),
             py::keep_alive<1, 6>(), py::arg("optimizer"), py::arg("group_sizes"), py::arg("statistics"),
             py::arg("weight_decay"), py::arg("vectors"), py::arg("group") = nullptr, py::arg("frozen") = 0)
        .def("__call__", &update, py::arg("rates"));
}

}  // namespace yolo::program::cuda
