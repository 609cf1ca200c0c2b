#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "cuda/arrays.h"
#include "cuda/timer.h"
#include "ops/cuda/bindings.h"
#include "ops/cuda/update.h"

namespace yolo::ops::cuda {
namespace {

namespace py = pybind11;

using yolo::cuda::OnDevice;
using yolo::cuda::Timer;
using Floats = py::array_t<float, py::array::c_style>;
using State = std::tuple<float, int32_t, int32_t>;  // of a LossScale

Optimizer optimizer_of(const std::string& name) {
    if (name == "SGD") return Optimizer::kSgd;
    if (name == "Adam") return Optimizer::kAdam;
    if (name == "AdamW") return Optimizer::kAdamW;
    throw py::value_error("unknown optimizer " + name);
}

// Moves the vectors in place, once for each row of `rates` and `gradients`, all by one recording. Gives the norms and
// the loss scale. The timer's runs come after them, with gradients that are empty.
py::tuple update(const std::string& optimizer, std::array<Floats, 5> vectors, const std::array<int64_t, 4>& sizes,
                 const yolo::cuda::Array<float>& rates, const yolo::cuda::Array<float>& gradients, float weight_decay,
                 const std::optional<State>& state, Timer* timer) {
    const yolo::cuda::OwnStream own;
    const yolo::cuda::Stream stream = own.get();
    std::vector<std::unique_ptr<OnDevice<float>>> moved;
    for (const Floats& vector : vectors) moved.push_back(std::make_unique<OnDevice<float>>(vector, stream));
    const auto at = [&](size_t i) { return moved[i]->data(); };
    const UpdateBuffers buffers{at(0), at(1), at(2), at(3), at(4)};
    const UpdateSizes groups{sizes[0], sizes[1], sizes[2], sizes[3]};
    const OnDevice<float> norm(1, stream), now(7, stream);
    const OnDevice<std::byte> scratch(update_scratch_bytes(groups), stream);
    const OnDevice<LossScale> on_device(1, stream);
    LossScale loss_scale{};
    if (state) loss_scale = {std::get<0>(*state), std::get<1>(*state), std::get<2>(*state)};
    yolo::cuda::copy_in(on_device.data(), &loss_scale, sizeof loss_scale, stream);
    const Timer::Give work = [&](yolo::cuda::Stream to) {
        update_parameters(optimizer_of(optimizer), buffers, groups, reinterpret_cast<const UpdateRates*>(now.data()),
                          weight_decay, state ? on_device.data() : nullptr, norm.data(), scratch.data(), to);
    };
    const yolo::cuda::Recording recording(work);
    std::vector<float> norms(static_cast<size_t>(rates.shape(0)));
    const size_t bytes = static_cast<size_t>(gradients.shape(1)) * sizeof(float);
    for (py::ssize_t step = 0; step < rates.shape(0); ++step) {
        yolo::cuda::copy_in(now.data(), rates.data(step, 0), 7 * sizeof(float), stream);
        yolo::cuda::copy_in(buffers.gradient, gradients.data() + step * gradients.shape(1), bytes, stream);
        recording.start(stream);
        norm.read(&norms[static_cast<size_t>(step)]);
    }
    if (timer != nullptr) timer->time("run", stream, work);
    for (size_t i = 0; i < vectors.size(); ++i) moved[i]->read(vectors[i].mutable_data());
    on_device.read(&loss_scale);
    return py::make_tuple(norms, State{loss_scale.scale, loss_scale.steps, loss_scale.skipped});
}

}  // namespace

void bind_update(py::module_& module) {
    module.def("update_parameters", &update, py::arg("optimizer"), py::arg("vectors").noconvert(), py::arg("sizes"),
               py::arg("rates"), py::arg("gradients"), py::arg("weight_decay"), py::arg("loss_scale") = py::none(),
               py::kw_only(), py::arg("timer") = py::none());
}

}  // namespace yolo::ops::cuda
