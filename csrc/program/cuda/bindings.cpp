#include "program/cuda/bindings.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>

#include "cuda/arrays.h"
#include "cuda/timer.h"
#include "program/common/bindings.h"
#include "program/cuda/executor.h"

namespace yolo::program::cuda {
namespace {

namespace py = pybind11;

using DeviceFloats = yolo::cuda::OnDevice<float>;

size_t floats(const Numbers& shape) {
    size_t product = 1;
    for (const int64_t side : shape) product *= static_cast<size_t>(side);
    return product;
}

// An executor with arrays of the host's for what it reads and writes, copied each time: for tests.
class HostExecutor {
public:
    HostExecutor(Plan plan, std::shared_ptr<Constants> constants, const Limits& limits)
        : executor_(std::move(plan), std::move(constants), nullptr, nullptr, limits) {}

    py::list forward(const py::array& images, std::optional<Floats> values, yolo::cuda::Timer* timer) {
        const Plan& plan = executor_.plan();
        check(images, plan.images, py::dtype::of<uint8_t>(), "images");
        if (plan.values > 0 && !values) throw py::value_error("the program takes values too");
        float* const vector = values ? vector_of(*values, plan.values, "values") : nullptr;
        const yolo::cuda::OnDevice<uint8_t> pixels(images, stream_.get());
        const DeviceFloats moved(values ? *values : Floats(0), stream_.get());
        std::vector<std::unique_ptr<DeviceFloats>> heads;
        std::vector<float*> places;
        for (const Numbers& shape : plan.heads) {
            heads.push_back(std::make_unique<DeviceFloats>(floats(shape), stream_.get()));
            places.push_back(heads.back()->data());
        }
        Run run;
        run.images = pixels.data(), run.values = moved.data(), run.heads = places.data();
        const auto work = [&](Stream stream) {
            run.stream = stream;
            executor_.forward(run);
        };
        yolo::cuda::give(work, stream_.get(), timer);
        py::list found;
        for (size_t i = 0; i < heads.size(); ++i) found.append(heads[i]->array(plan.heads[i]));
        if (values) moved.read(vector);
        return found;
    }

    void backward(const std::vector<py::array>& head_gradients, Floats& values, Floats& gradient) {
        const Plan& plan = executor_.plan();
        if (head_gradients.size() != plan.heads.size()) throw py::value_error("one gradient a head is needed");
        std::vector<std::unique_ptr<DeviceFloats>> given;
        std::vector<const float*> places;
        for (size_t i = 0; i < head_gradients.size(); ++i) {
            check(head_gradients[i], plan.heads[i], py::dtype::of<float>(), "head gradient");
            given.push_back(std::make_unique<DeviceFloats>(head_gradients[i], stream_.get()));
            places.push_back(given.back()->data());
        }
        float* const vector = vector_of(values, plan.values, "values");
        float* const to = vector_of(gradient, plan.gradient, "gradient");
        const DeviceFloats moved(values, stream_.get()), sum(gradient, stream_.get());
        Run run;
        run.stream = stream_.get(), run.head_gradients = places.data();
        run.values = moved.data(), run.gradient = sum.data();
        executor_.backward(run);
        moved.read(vector);
        sum.read(to);
    }

    // A copy of the plan's memory for maps, uint8 [arena].
    py::array_t<uint8_t> maps() const {
        const DeviceBuffer& arena = executor_.arena();
        py::array_t<uint8_t> found(static_cast<py::ssize_t>(arena.bytes()));
        yolo::cuda::copy_out(found.mutable_data(), arena.data(), arena.bytes(), stream_.get());
        yolo::cuda::synchronise(stream_.get());
        return found;
    }
    const Executor& executor() const { return executor_; }

private:
    yolo::cuda::OwnStream stream_;
    Executor executor_;
};

void set_constant(Constants& constants, const std::string& name,
                  const py::array_t<float, py::array::c_style | py::array::forcecast>& values) {
    if (values.ndim() < 1 || values.size() == 0) throw py::value_error(name + ": has no values");
    constants.set(name, {values.data(), values.data() + values.size()},
                  {values.shape(), values.shape() + values.ndim()});
}

}  // namespace

void bind_cuda(py::module_& module) {
    py::class_<Constants, std::shared_ptr<Constants>>(module, "Constants")
        .def(py::init<>())
        .def("set", &set_constant, py::arg("name"), py::arg("values"));
    py::class_<HostExecutor>(module, "HostExecutor")
        .def(py::init([](const py::object& plan, std::shared_ptr<Constants> constants) {
                 return std::make_unique<HostExecutor>(plan_of(plan), std::move(constants), Limits{});
             }),
             py::arg("plan"), py::kw_only(), py::arg("constants") = nullptr)
        .def("__call__", &HostExecutor::forward, py::arg("images"), py::arg("values").noconvert() = py::none(),
             py::kw_only(), py::arg("timer") = py::none())
        .def("backward", &HostExecutor::backward, py::arg("head_gradients"), py::arg("values").noconvert(),
             py::arg("gradient").noconvert())
        .def("maps", &HostExecutor::maps)
        .def_property_readonly("steps", [](const HostExecutor& self) { return self.executor().steps(); })
        .def_property_readonly("memory_bytes", [](const HostExecutor& self) { return self.executor().memory_bytes(); });
}

}  // namespace yolo::program::cuda
