// What programs use: executors, detectors and steps of training. Arrays are the host's. The base classes are those of
// yolo._native.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "program/common/bindings.h"
#include "program/cuda/bindings.h"
#include "program/cuda/detector.h"
#include "program/cuda/heads.h"
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

void take(GradientStep& step, std::shared_ptr<StagedImages> images) {
    step.take(std::move(images));
}

Floats add_gradient(GradientStep& step, const Floats& labels, const Counts& counts,
                    const std::optional<Matches>& matches) {
    const int64_t images = step.executor().plan().images[0];
    require_shape(labels, {images, step.places(), 5}, "labels");
    require_shape(counts, {images}, "counts");
    if (matches.has_value() != (step.ranks() > 1)) throw py::value_error("matches: those of several ranks are needed");
    if (matches) require_shape(*matches, {static_cast<int64_t>(step.levels())}, "matches");
    Floats parts(ops::kLossParts);
    const void* inputs[] = {labels.data(), counts.data(), matches ? matches->data() : nullptr};
    void* outputs[] = {parts.mutable_data()};
    const py::gil_scoped_release free;
    static_cast<Runnable&>(step).run(inputs, outputs);
    return parts;
}

void fill(StagedImages& staged, const Images& images) {
    const uint8_t* const data = images.data();
    const auto bytes = static_cast<size_t>(images.size());
    const py::gil_scoped_release free;
    staged.fill(data, bytes);
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

// (detections, counts); of one with a loss the terms too.
py::tuple detect(DetectorProgram& detector, const Images& images, const std::optional<Floats>& labels,
                 const std::optional<Counts>& label_counts) {
    const Numbers& shape = detector.network().plan().images;
    require_shape(images, shape, "images");
    py::array_t<float> detections({shape[0], detector.max_det(), int64_t{6}});
    py::array_t<int32_t> counts(shape[0]);
    py::array_t<double> terms({static_cast<int64_t>(detector.levels()), ops::kLossTerms});
    std::vector<const void*> inputs{images.data()};
    if (detector.places() >= 0) {
        if (!labels || !label_counts) throw py::value_error("a detector with a loss takes labels and counts too");
        require_shape(*labels, {shape[0], detector.places(), 5}, "labels");
        require_shape(*label_counts, {shape[0]}, "counts");
        inputs.insert(inputs.end(), {labels->data(), label_counts->data()});
    }
    void* outputs[] = {detections.mutable_data(), counts.mutable_data(), terms.mutable_data()};
    {
        const py::gil_scoped_release free;
        static_cast<Runnable&>(detector).run(inputs.data(), outputs);
    }
    if (detector.places() < 0) return py::make_tuple(detections, counts);
    return py::make_tuple(detections, counts, terms);
}

py::list raw_heads(HeadsProgram& program, const Images& images) {
    const Plan& plan = program.network().plan();
    require_shape(images, plan.images, "images");
    py::list heads;
    std::vector<void*> outputs;
    for (const Numbers& shape : plan.heads) {
        Floats head(shape);
        outputs.push_back(head.mutable_data());
        heads.append(std::move(head));
    }
    const void* inputs[] = {images.data()};
    const py::gil_scoped_release free;
    static_cast<Runnable&>(program).run(inputs, outputs.data());
    return heads;
}

std::unique_ptr<Executor> make_executor(const py::object& given, std::shared_ptr<Constants> constants,
                                        std::shared_ptr<Memory> memory, std::shared_ptr<Group> group,
                                        const Limits& limits) {
    Plan plan = plan_of(given);
    const py::gil_scoped_release free;  // cuDNN looks for algorithms
    return std::make_unique<Executor>(std::move(plan), std::move(constants), std::move(memory), std::move(group),
                                      limits);
}

// Where the device's memory is short Python raises MemoryError.
void translate(std::exception_ptr error) {
    try {
        if (error) std::rethrow_exception(error);
    } catch (const yolo::cuda::OutOfMemoryError& short_of) {
        PyErr_SetString(PyExc_MemoryError, short_of.what());
    }
}

}  // namespace

void bind_steps(py::module_& module) {
    py::register_local_exception_translator(&translate);
    py::class_<Memory, std::shared_ptr<Memory>>(module, "Memory")
        .def(py::init<>())
        .def_property_readonly("bytes", &Memory::bytes);
    py::class_<Executor>(module, "Executor")
        .def(py::init(&make_executor), py::arg("plan"), py::kw_only(), py::arg("constants") = nullptr,
             py::arg("memory") = nullptr, py::arg("group") = nullptr, py::arg("limits") = Limits{})
        .def_property_readonly("steps", &Executor::steps)
        .def_property_readonly("memory_bytes", &Executor::memory_bytes);
    py::class_<DetectorProgram, TimedRunnable>(module, "DetectorProgram")
        .def(py::init<Executor&, const std::vector<Level>&, int64_t, ops::NmsSettings, const DetectionLoss*, int64_t>(),
             py::keep_alive<1, 2>(), py::arg("network"), py::arg("levels"), py::arg("classes"), py::arg("settings"),
             py::arg("loss") = nullptr, py::arg("places") = 0)
        .def_property_readonly("nms_seconds", &DetectorProgram::nms_seconds)
        .def("__call__", &detect, py::arg("images"), py::arg("labels") = py::none(), py::arg("counts") = py::none());
    py::class_<HeadsProgram, TimedRunnable>(module, "HeadsProgram")
        .def(py::init<Executor&>(), py::keep_alive<1, 2>(), py::arg("network"))
        .def("__call__", &raw_heads, py::arg("images"));
    py::class_<TrainVectors>(module, "TrainVectors")
        .def(py::init<const std::array<int64_t, 5>&, bool>(), py::arg("numbers"), py::kw_only(), py::arg("scaled") = false)
        .def("write", &write, py::arg("name"), py::arg("values").noconvert())
        .def("read", &read, py::arg("name"))
        .def("numbers", &TrainVectors::numbers, py::arg("name"))
        .def_property_readonly("scaled", [](const TrainVectors& self) { return self.loss_scale() != nullptr; })
        .def_property(  // float16's loss scale, and how many steps it has been so
            "loss_scale",
            [](const TrainVectors& self) {
                const ops::cuda::LossScale scale = self.read_scale();
                return std::make_pair(scale.scale, scale.steps);
            },
            [](TrainVectors& self, std::pair<float, int32_t> given) {
                self.write_scale({given.first, given.second, 0});
            });
    py::class_<StagedImages, std::shared_ptr<StagedImages>>(module, "StagedImages")
        .def(py::init<size_t>(), py::arg("room"))
        .def_property_readonly("room", &StagedImages::room)
        .def("fill", &fill, py::arg("images").noconvert());
    py::class_<GradientStep, TimedRunnable>(module, "GradientStep")
        .def(py::init<Executor&, const DetectionLoss&, int64_t, const TrainVectors&, int64_t>(), py::keep_alive<1, 2>(),
             py::keep_alive<1, 5>(), py::arg("executor"), py::arg("loss"), py::arg("places"), py::arg("vectors"),
             py::arg("ranks") = 1)
        .def("take", &take, py::arg("images"))
        .def("__call__", &add_gradient, py::arg("labels"), py::arg("counts"), py::arg("matches") = py::none());
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
