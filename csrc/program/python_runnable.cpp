#include "program/python_runnable.h"

#include <pybind11/stl.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace yolo::program {
namespace {

namespace py = pybind11;
using Pairs = std::vector<std::pair<std::vector<py::ssize_t>, py::object>>;

std::vector<PythonRunnable::Spec> to_specs(const Pairs& pairs) {
    std::vector<PythonRunnable::Spec> specs;
    for (const auto& [shape, dtype] : pairs) specs.push_back({shape, py::dtype::from_args(dtype)});
    return specs;
}

// NumPy copies unless it is told of an owner: a capsule that frees nothing stands for the graph. An empty tensor's
// address is null.
py::array view(const PythonRunnable::Spec& spec, void* data, bool writable) {
    py::array array(spec.dtype, spec.shape, data, py::capsule(&spec, [](void*) {}));
    if (!writable) array.attr("flags").attr("writeable") = false;
    return array;
}

}  // namespace

PythonRunnable::PythonRunnable(py::function function, std::vector<Spec> inputs, std::vector<Spec> outputs,
                               size_t mutable_inputs)
    : function_(std::move(function)),
      inputs_(std::move(inputs)),
      outputs_(std::move(outputs)),
      mutable_inputs_(mutable_inputs) {
    if (mutable_inputs_ > inputs_.size()) throw py::value_error("mutable: more than there are inputs");
}

void PythonRunnable::run(const void* const* inputs, void* const* outputs) {
    const py::gil_scoped_acquire lock;
    try {
        call(inputs, outputs);
    } catch (const py::error_already_set& error) {
        throw std::runtime_error(py::str(error.type().attr("__name__")).cast<std::string>() + ": " +
                                 py::str(error.value()).cast<std::string>());
    }
}

void PythonRunnable::call(const void* const* inputs, void* const* outputs) {
    py::list sources, targets;
    for (size_t i = 0; i < inputs_.size(); ++i) {
        const bool writable = i + mutable_inputs_ >= inputs_.size();
        sources.append(view(inputs_[i], const_cast<void*>(inputs[i]), writable));
    }
    for (size_t i = 0; i < outputs_.size(); ++i) targets.append(view(outputs_[i], outputs[i], true));
    function_(sources, targets);
}

void bind_python_runnable(py::module_& module) {
    py::class_<PythonRunnable, Runnable>(module, "PythonRunnable",
                                         "Calls function(inputs, outputs) with NumPy views of a graph's buffers; for "
                                         "tests and debugging. inputs, outputs: (shape, dtype) pairs; the last "
                                         "`mutable` inputs are writable.")
        .def(py::init([](py::function function, const Pairs& inputs, const Pairs& outputs, size_t mutable_inputs) {
                 return new PythonRunnable(std::move(function), to_specs(inputs), to_specs(outputs), mutable_inputs);
             }),
             py::arg("function"), py::arg("inputs"), py::arg("outputs"), py::arg("mutable") = 0);
}

}  // namespace yolo::program
