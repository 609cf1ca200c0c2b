// The private module of what runs on a CUDA device: yolo._cuda on a GPU, _cuda_host on the host's processor, for tests.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cuda/convolution.h"
#include "cuda/device.h"
#include "cuda/group.h"
#include "cuda/timer.h"
#include "ops/cuda/bindings.h"
#include "program/cuda/bindings.h"

namespace {

// See ConvSettings.
void bind_configure(pybind11::module_& module) {
    using pybind11::arg;
    const yolo::cuda::ConvSettings usual;
    module.def(
        "configure",
        [](const std::string& library, const std::string& plans, bool tf32, int timed) {
            yolo::cuda::ConvSettings settings;
            settings.library = library, settings.plans = plans, settings.tf32 = tf32, settings.timed = timed;
            yolo::cuda::configure(settings);
        },
        pybind11::kw_only(), arg("library") = usual.library, arg("plans") = usual.plans, arg("tf32") = usual.tf32,
        arg("timed") = usual.timed);
}

// nccl: the folder of NCCL's library, "" where the loader knows; None: by the exchange.
std::shared_ptr<yolo::cuda::Group> make_group(std::shared_ptr<yolo::net::Exchange> exchange,
                                              const std::optional<std::string>& nccl) {
    if (!nccl) return yolo::cuda::exchange_group(std::move(exchange));
    const pybind11::gil_scoped_release free;  // it waits for the other ranks
    return yolo::cuda::nccl_group(*exchange, *nccl);
}

void bind_group(pybind11::module_& module) {
    using pybind11::arg;
    using yolo::cuda::Group;
    pybind11::class_<Group, std::shared_ptr<Group>>(module, "Group")
        .def(pybind11::init(&make_group), arg("exchange"), arg("nccl") = pybind11::none())
        .def_property_readonly("ranks", &Group::ranks);
}

}  // namespace

PYBIND11_MODULE(YOLO_CUDA_MODULE, module) {
    module.doc() = "Operators and executors of compiled programs on a CUDA device.";
    pybind11::module_::import("yolo._native");  // whose types these functions take and extend
    module.def("unavailable", &yolo::cuda::unavailable, pybind11::arg("index"));
    module.def("use", &yolo::cuda::use, pybind11::arg("index"));
    module.def("capability", &yolo::cuda::capability, pybind11::arg("index"));
    module.def("convolutions_unavailable", &yolo::cuda::convolutions_unavailable);
    module.def("memory", [] {
        const yolo::cuda::MemoryInfo info = yolo::cuda::memory_info();
        return std::make_pair(info.free, info.total);
    });
    module.def("description", &yolo::cuda::description, pybind11::arg("index"));
    bind_configure(module);
    bind_group(module);
    yolo::cuda::bind_timer(module);
    yolo::program::cuda::bind_cuda(module);
    yolo::program::cuda::bind_steps(module);
    yolo::program::cuda::bind_kernels(module);
    yolo::ops::cuda::bind_detection(module);
    yolo::ops::cuda::bind_loss(module);
    yolo::ops::cuda::bind_update(module);
}
