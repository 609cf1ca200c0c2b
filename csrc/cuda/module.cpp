// The private module of what runs on a CUDA device: yolo._cuda on a GPU, _cuda_host on the host's processor, for tests.
#include <pybind11/pybind11.h>

#include "cuda/device.h"
#include "ops/cuda/bindings.h"
#include "program/cuda/bindings.h"

PYBIND11_MODULE(YOLO_CUDA_MODULE, module) {
    module.doc() = "Operators and executors of compiled programs on a CUDA device.";
    pybind11::module_::import("yolo._native");  // whose types these functions take and extend
    module.def("unavailable", &yolo::cuda::unavailable);
    module.def("description", &yolo::cuda::description);
    yolo::program::cuda::bind_cuda(module);
    yolo::program::cuda::bind_kernels(module);
    yolo::ops::cuda::bind_detection(module);
    yolo::ops::cuda::bind_loss(module);
    yolo::ops::cuda::bind_update(module);
}
