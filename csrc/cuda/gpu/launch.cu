#include "cuda/gpu/launch.h"

#include <string>

namespace yolo::cuda {

void check_launch() {
    const cudaError_t status = cudaGetLastError();
    if (status != cudaSuccess) throw DeviceError(std::string("CUDA: starting a kernel: ") + cudaGetErrorString(status));
}

void allow_shared(const void* kernel, size_t bytes) {
    const auto wanted = static_cast<int>(bytes);
    if (cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, wanted) == cudaSuccess) return;
    const std::string refused = cudaGetErrorString(cudaGetLastError());
    int most = 0;
    cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, current_device());
    throw DeviceError("CUDA: a kernel needs " + std::to_string(bytes) + " bytes of shared memory, and the GPU has " +
                      std::to_string(most) + " for a block: " + refused);
}

}  // namespace yolo::cuda
