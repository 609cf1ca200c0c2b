#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>

#include "bindings.h"
#include "program/common/bindings.h"
#include "program/cpu/executor.h"
#include "program/cpu/side_by_side.h"

namespace yolo::program {
namespace {

namespace py = pybind11;

// What `run` writes into arrays of these shapes.
template <class Run>
py::list heads_of(const std::vector<Numbers>& shapes, const Run& run) {
    py::list heads;
    std::vector<void*> places;
    for (const Numbers& shape : shapes) {
        Floats head(shape);
        places.push_back(head.mutable_data());
        heads.append(std::move(head));
    }
    const py::gil_scoped_release free;
    run(places.data());
    return heads;
}

py::list forward(Executor& executor, const py::array& given, std::optional<Floats> values) {
    const Plan& plan = executor.plan();
    const py::array images = py::array::ensure(given, py::array::c_style);
    check(images, plan.images, py::dtype::of<uint8_t>(), "images");
    if (plan.values > 0 && !values) throw py::value_error("the program takes values too");
    float* const vector = values ? vector_of(*values, plan.values, "values") : nullptr;
    return heads_of(plan.heads, [&](void* const* places) { executor.forward(images.data(), vector, places); });
}

py::list look(SideBySide& lanes, const py::array& given) {
    const py::array images = py::array::ensure(given, py::array::c_style);
    check(images, lanes.images(), py::dtype::of<uint8_t>(), "images");
    const void* const inputs[] = {images.data()};
    return heads_of(lanes.heads(), [&](void* const* places) { lanes.run(inputs, places); });
}

void backward(Executor& executor, const std::vector<py::array>& head_gradients, Floats& values, Floats& gradient) {
    const Plan& plan = executor.plan();
    if (head_gradients.size() != plan.heads.size()) throw py::value_error("one gradient a head is needed");
    std::vector<const void*> places;
    for (size_t i = 0; i < head_gradients.size(); ++i) {
        check(head_gradients[i], plan.heads[i], py::dtype::of<float>(), "head gradient");
        places.push_back(head_gradients[i].data());
    }
    float* const vector = vector_of(values, plan.values, "values");
    float* const to = vector_of(gradient, plan.gradient, "gradient");
    const py::gil_scoped_release free;
    executor.backward(places.data(), vector, to);
}

void set_constant(Weights& weights, const std::string& name,
                  const py::array_t<float, py::array::c_style | py::array::forcecast>& values) {
    if (values.ndim() < 1 || values.size() == 0) throw py::value_error(name + ": has no values");
    const dnnl::memory::dims dims(values.shape(), values.shape() + values.ndim());
    weights.set(name, {values.data(), values.data() + values.size()}, dims);
}

}  // namespace

void bind_cpu(py::module_& module) {
    py::class_<Weights, std::shared_ptr<Weights>>(module, "Weights")
        .def(py::init<>())
        .def("set", &set_constant, py::arg("name"), py::arg("values"));
    py::class_<Limits>(module, "Limits")
        .def(py::init([](int64_t memory, double work) { return Limits{memory, work}; }), py::arg("memory"), py::arg("work"))
        .def_readonly("memory", &Limits::memory);
    py::class_<Memory, std::shared_ptr<Memory>>(module, "Memory")
        .def(py::init<>())
        .def("match", &Memory::match, py::arg("other"), py::call_guard<py::gil_scoped_release>())
        .def_property_readonly("bytes", &Memory::bytes);
    py::class_<Network, Runnable>(module, "Network");
    py::class_<Executor, Network>(module, "Executor")
        .def(py::init([](const py::object& plan, std::shared_ptr<Weights> weights, std::shared_ptr<Memory> memory,
                         std::shared_ptr<net::Exchange> exchange, const Limits& limits) {
                 return std::make_unique<Executor>(plan_of(plan), Resources{weights, memory, exchange}, limits);
             }),
             py::arg("plan"), py::kw_only(), py::arg("weights") = nullptr, py::arg("memory") = nullptr,
             py::arg("exchange") = nullptr, py::arg("limits") = Limits{})
        .def("__call__", &forward, py::arg("images"), py::arg("values").noconvert() = py::none())
        .def("backward", &backward, py::arg("head_gradients"), py::arg("values").noconvert(),
             py::arg("gradient").noconvert())
        .def("profile", &Executor::profile, py::arg("on") = true)
        .def_property_readonly("steps", &Executor::steps)
        .def_property_readonly("memory_bytes", &Executor::memory_bytes);
    py::class_<SideBySide, Network>(module, "SideBySide")
        .def(py::init<std::vector<Executor*>, int64_t, std::shared_ptr<Memory>>(), py::arg("lanes"), py::arg("batch"),
             py::arg("memory"), py::keep_alive<1, 2>())
        .def("__call__", &look, py::arg("images"))
        .def_property_readonly("steps", &SideBySide::steps)
        .def_property_readonly("memory_bytes", &SideBySide::memory_bytes);
}

}  // namespace yolo::program
