// Kernels on a GPU.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "cuda/device.h"
#include "cuda/gpu/current.h"

namespace yolo::cuda {

class Block {
public:
    __device__ int thread() const { return static_cast<int>(threadIdx.x); }
    __device__ int threads() const { return static_cast<int>(blockDim.x); }
    __device__ int lane() const { return thread() % 32; }
    __device__ int64_t index() const { return blockIdx.x; }
    __device__ void sync() const { __syncthreads(); }
    template <class T>
    __device__ T* shared(size_t offset = 0) const {
        extern __shared__ __align__(16) unsigned char memory[];
        return reinterpret_cast<T*>(memory + offset);
    }
    template <class T>
    __device__ T shuffle(T value, int lane) const {
        return __shfl_sync(0xffffffffu, value, lane);
    }
    template <class T>
    __device__ T shuffle_xor(T value, int mask) const {
        return __shfl_xor_sync(0xffffffffu, value, mask);
    }
    __device__ uint32_t ballot(bool condition) const { return __ballot_sync(0xffffffffu, condition); }
};

// Raises DeviceError where the last launch was refused.
void check_launch();
// Lets a kernel have more shared memory than every kernel may.
void allow_shared(const void* kernel, size_t bytes);

// Threads of a block, and blocks that a multiprocessor is to hold at least. Without that number ptxas spills registers to
// have more blocks there.
constexpr int kEachThreads = 256, kEachBlocks = 2;

template <class Kernel>
__global__ void __launch_bounds__(kEachThreads, kEachBlocks) run_each(const Kernel kernel, int64_t count) {
    const int64_t step = int64_t{gridDim.x} * blockDim.x;
    for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) kernel(i);
}

template <class Kernel>
__global__ void __launch_bounds__(Kernel::kThreads, 1) run_blocks(const Kernel kernel) {
    kernel(Block());
}

template <class Kernel>
void each(Stream stream, int64_t count, const Kernel& kernel) {
    if (count <= 0) return;
    const Entered entered;
    constexpr int64_t kMostBlocks = int64_t{1} << 20;  // each thread takes several numbers then
    const int64_t wanted = (count + kEachThreads - 1) / kEachThreads;
    run_each<<<static_cast<unsigned>(std::min(wanted, kMostBlocks)), kEachThreads, 0, stream>>>(kernel, count);
    check_launch();
}

// `count` is below 2^31.
template <class Kernel>
void blocks(Stream stream, int64_t count, size_t shared_bytes, const Kernel& kernel) {
    static_assert(Kernel::kThreads % 32 == 0 && Kernel::kThreads <= 1024);
    if (count <= 0) return;
    const Entered entered;
    if (shared_bytes > 48 * 1024) allow_shared(reinterpret_cast<const void*>(&run_blocks<Kernel>), shared_bytes);
    run_blocks<<<static_cast<unsigned>(count), Kernel::kThreads, shared_bytes, stream>>>(kernel);
    check_launch();
}

}  // namespace yolo::cuda
