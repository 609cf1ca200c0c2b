// A Runnable in Python, for tests and for looking into a graph while it runs.
#pragma once

#include <pybind11/numpy.h>

#include <vector>

#include "program/common/runnable.h"

namespace yolo::program {

// Calls `function(inputs, outputs)` with lists of NumPy arrays that are views of the buffers, valid during the call
// only; inputs are read-only but for the last `mutable_inputs`. OneFlow's threads call run(), which takes the GIL: wait
// for the graph (graphs.base.synchronise) before deleting it. Whatever the function raises becomes a
// std::runtime_error with its type and message.
class PythonRunnable final : public Runnable {
public:
    struct Spec {
        std::vector<pybind11::ssize_t> shape;
        pybind11::dtype dtype;
    };

    PythonRunnable(pybind11::function function, std::vector<Spec> inputs, std::vector<Spec> outputs,
                   size_t mutable_inputs);
    void run(const void* const* inputs, void* const* outputs) override;

private:
    void call(const void* const* inputs, void* const* outputs);

    pybind11::function function_;
    std::vector<Spec> inputs_, outputs_;
    size_t mutable_inputs_;
};

// Adds the class to a module in which Runnable is registered.
void bind_python_runnable(pybind11::module_& module);

}  // namespace yolo::program
