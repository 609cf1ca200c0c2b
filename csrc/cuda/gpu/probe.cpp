#include "cuda/gpu/probe.h"

#include <cuda_runtime_api.h>

#include <cstdlib>

namespace yolo::cuda {
namespace {

constexpr int kOldestMajor = 7, kOldestMinor = 5;  // the oldest that CUDA 13 makes code for

std::string asked() {
    return "; --device cpu runs on the processor";
}

std::string unseen(const Probe& probe) {
    std::string line = "the NVIDIA driver finds no GPU";
    if (!probe.visible.empty()) line += " that CUDA_VISIBLE_DEVICES=" + probe.visible + " lets it see";
    return line;
}

}  // namespace

std::string version(int number) {
    return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

Probe probe(int index) {
    Probe found;
    found.index = index;
    found.status = cudaGetDeviceCount(&found.devices);  // left as it is where the call fails
    found.error = cudaGetErrorString(static_cast<cudaError_t>(found.status));
    cudaDriverGetVersion(&found.driver);
    cudaRuntimeGetVersion(&found.runtime);
    const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
    found.visible = visible == nullptr ? "" : *visible != '\0' ? visible : "''";
    if (found.status != cudaSuccess || found.devices <= index) return found;
    cudaDeviceGetAttribute(&found.major, cudaDevAttrComputeCapabilityMajor, index);
    cudaDeviceGetAttribute(&found.minor, cudaDevAttrComputeCapabilityMinor, index);
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, index) == cudaSuccess) found.name = properties.name;
    return found;
}

std::string objection(const Probe& probe) {
    if (probe.status == cudaErrorInsufficientDriver && probe.driver == 0) return "there is no NVIDIA driver" + asked();
    if (probe.status == cudaErrorInsufficientDriver) {
        return "the NVIDIA driver knows CUDA up to " + version(probe.driver) + ", and this build needs " +
               std::to_string(probe.runtime / 1000) + ".0 or newer: install a newer driver" + asked();
    }
    if (probe.status == cudaErrorNoDevice || (probe.status == cudaSuccess && probe.devices == 0)) {
        return unseen(probe) + asked();
    }
    if (probe.status == cudaSuccess && probe.index >= probe.devices) {
        const std::string seen = probe.visible.empty() ? "" : " with CUDA_VISIBLE_DEVICES=" + probe.visible;
        return "there is no GPU " + std::to_string(probe.index) + ": " + std::to_string(probe.devices) +
               (probe.devices == 1 ? " is there" : " are there") + ", numbered from 0" + seen;
    }
    if (probe.status != cudaSuccess) return "CUDA does not start: " + probe.error + asked();
    if (probe.major < kOldestMajor || (probe.major == kOldestMajor && probe.minor < kOldestMinor)) {
        const auto dotted = [](int major, int minor) { return std::to_string(major) + "." + std::to_string(minor); };
        return (probe.name.empty() ? "the GPU" : probe.name) + " has compute capability " +
               dotted(probe.major, probe.minor) + ", and kernels are made for " + dotted(kOldestMajor, kOldestMinor) +
               " and newer" + asked();
    }
    return "";
}

}  // namespace yolo::cuda
