#include "program/common/bindings.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <string>

#include "program/common/plan.h"
#include "program/common/step_info.h"

namespace yolo::program {
namespace {

namespace py = pybind11;

Layout layout(const std::string& name) {
    if (name == "blocked") return Layout::blocked;
    if (name == "nchw") return Layout::nchw;
    if (name == "nhwc") return Layout::nhwc;
    throw std::invalid_argument("unknown layout " + name);
}

TensorView view_of(const py::handle& view) {
    const auto number = [&](const char* name) { return view.attr(name).cast<int64_t>(); };
    return {number("offset"), number("channels"), number("height"), number("width"), number("element"),
            layout(view.attr("layout").cast<std::string>()), number("first"), number("buffer_channels")};
}

Step step_of(const py::handle& given) {
    Step step{given.attr("kind").cast<std::string>(), given.attr("where").cast<std::string>(), {}, {}};
    for (const auto& [role, views] : given.attr("views").cast<py::dict>()) {
        Views& found = step.views[role.cast<std::string>()];
        for (const py::handle& view : views) found.push_back(view_of(view));
    }
    for (const auto& [name, value] : given.attr("attributes").cast<py::dict>()) {
        step.attributes[name.cast<std::string>()] = value.cast<Attribute>();
    }
    return step;
}

}  // namespace

Plan plan_of(const py::object& given) {
    const py::object target = given.attr("target");
    Plan plan;
    plan.block = target.attr("block").cast<int64_t>();
    plan.element = target.attr("element").cast<int64_t>();
    plan.layout = layout(target.attr("layout").cast<std::string>());
    plan.half = target.attr("precision").cast<std::string>() == "fp16";
    plan.threads = target.attr("threads").cast<int>();
    plan.images = given.attr("images").cast<Numbers>();
    plan.heads = given.attr("heads").cast<std::vector<Numbers>>();
    plan.arena = given.attr("arena").cast<int64_t>();
    plan.per_image = given.attr("per_image").cast<bool>();
    plan.values = given.attr("values").cast<int64_t>();
    plan.gradient = given.attr("gradient").cast<int64_t>();
    for (const py::handle& step : given.attr("forward")) plan.forward.push_back(step_of(step));
    for (const py::handle& step : given.attr("backward")) plan.backward.push_back(step_of(step));
    return plan;
}

void check(const py::array& array, const Numbers& shape, const py::dtype& dtype, const char* name) {
    const bool fits = static_cast<size_t>(array.ndim()) == shape.size() &&
                      std::equal(shape.begin(), shape.end(), array.shape()) && array.dtype().is(dtype) &&
                      (array.flags() & py::array::c_style) != 0;
    if (!fits) throw py::value_error(std::string(name) + ": another shape, dtype or order than the program takes");
}

float* vector_of(Floats& vector, int64_t least, const char* name) {
    if (vector.ndim() != 1 || vector.size() < least) {
        throw py::value_error(std::string(name) + ": expected a vector of " + std::to_string(least));
    }
    return vector.mutable_data();
}

void bind_common(py::module_& module) {
    py::class_<StepInfo>(module, "StepInfo")
        .def_readonly("kind", &StepInfo::kind)
        .def_readonly("where", &StepInfo::where)
        .def_readonly("implementation", &StepInfo::implementation)
        .def_readonly("flops", &StepInfo::flops)
        .def_readonly("executed", &StepInfo::executed)
        .def_readonly("bytes", &StepInfo::bytes)
        .def_readonly("milliseconds", &StepInfo::milliseconds)
        .def_readonly("runs", &StepInfo::runs);
}

}  // namespace yolo::program
