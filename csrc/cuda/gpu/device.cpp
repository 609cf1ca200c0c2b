// The process's GPU. The CUDA runtime is linked statically, so that it may be another version than others in the process
// have.
#include "cuda/device.h"

#include <cstdio>
#include <string>

#include "cuda/gpu/current.h"
#include "cuda/gpu/probe.h"
#include "cuda/gpu/runtime.h"

namespace yolo::cuda {
namespace {

std::string gibibytes(size_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(bytes) / (1 << 30));
    return text;
}

void move(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, Stream stream, const char* trying) {
    const Entered entered;
    if (bytes > 0) check(cudaMemcpyAsync(to, from, bytes, kind, stream), trying);
}

}  // namespace

void check(cudaError_t status, const char* trying) {
    if (status == cudaSuccess) return;
    cudaGetLastError();  // or else the next launch would seem to have failed
    throw DeviceError(std::string("CUDA: ") + trying + ": " + cudaGetErrorString(status));
}

std::string unavailable(int index) {
    return objection(probe(index));
}

std::string description(int index) {
    cudaDeviceProp properties{};
    int driver = 0;
    check(cudaGetDeviceProperties(&properties, index), "asking what the GPU is");
    check(cudaDriverGetVersion(&driver), "asking which driver there is");
    return std::string(properties.name) + ", compute capability " + std::to_string(properties.major) + "." +
           std::to_string(properties.minor) + ", " + gibibytes(properties.totalGlobalMem) + ", driver " +
           version(driver);
}

std::pair<int, int> capability(int index) {
    const Probe found = probe(index);
    return {found.major, found.minor};
}

MemoryInfo memory_info() {
    const Entered entered;
    MemoryInfo info;
    check(cudaMemGetInfo(&info.free, &info.total), "asking for the GPU's free memory");
    return info;
}

DeviceBuffer::DeviceBuffer(size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    const Entered entered;
    void* data = nullptr;
    const cudaError_t status = cudaMalloc(&data, bytes);  // aligned to 256 bytes at least
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        const MemoryInfo info = memory_info();
        throw OutOfMemoryError("the GPU has not as much memory: " + std::to_string(bytes) + " bytes asked for, " +
                               std::to_string(info.free) + " free of " + std::to_string(info.total));
    }
    check(status, "taking memory");
    data_ = static_cast<std::byte*>(data);
    try {
        // Streams that do not block know nothing of a memset on the default stream: wait for it here.
        check(cudaMemsetAsync(data, 0, bytes, cudaStreamPerThread), "clearing new memory");
        check(cudaStreamSynchronize(cudaStreamPerThread), "clearing new memory");
    } catch (...) {
        cudaFree(data);
        throw;
    }
}

DeviceBuffer::~DeviceBuffer() {
    if (data_ != nullptr) cudaFree(data_);  // waits for the work that uses it
}

// The host's memory may be pageable. In: the call returns once it was read into memory of the driver's. Out: the call
// waits for the stream, and for the bytes. With pinned memory both return at once.
void copy_in(void* to, const void* from, size_t bytes, Stream stream) {
    move(to, from, bytes, cudaMemcpyHostToDevice, stream, "copying to the GPU");
}

void copy_out(void* to, const void* from, size_t bytes, Stream stream) {
    move(to, from, bytes, cudaMemcpyDeviceToHost, stream, "copying from the GPU");
}

void copy(void* to, const void* from, size_t bytes, Stream stream) {
    move(to, from, bytes, cudaMemcpyDeviceToDevice, stream, "copying on the GPU");
}

void clear(void* data, size_t bytes, Stream stream) {
    const Entered entered;
    if (bytes > 0) check(cudaMemsetAsync(data, 0, bytes, stream), "clearing memory");
}

OwnStream::OwnStream() {
    const Entered entered;
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
}

OwnStream::~OwnStream() {
    cudaStreamDestroy(stream_);  // what was given to it is done first
}

void synchronise(Stream stream) {
    const Entered entered;
    check(cudaStreamSynchronize(stream), "waiting for the GPU");
}

struct Mark::Passed {
    cudaEvent_t event = nullptr;

    ~Passed() {
        if (event != nullptr) cudaEventDestroy(event);
    }
};

Mark::Mark() : passed_(new Passed) {
    const Entered entered;
    check(cudaEventCreate(&passed_->event), "making an event");
}

Mark::~Mark() = default;

void Mark::set(Stream stream) {
    const Entered entered;
    check(cudaEventRecord(passed_->event, stream), "recording an event");
}

double Mark::until(const Mark& later) const {
    float milliseconds = 0.0f;
    check(cudaEventElapsedTime(&milliseconds, passed_->event, later.passed_->event), "reading an event");
    return milliseconds / 1e3;
}

struct Recording::Recorded {
    cudaGraphExec_t executable = nullptr;

    ~Recorded() {
        if (executable != nullptr) cudaGraphExecDestroy(executable);
    }
};

Recording::Recording(const std::function<void(Stream)>& work) : recorded_(new Recorded) {
    const Entered entered;
    const OwnStream stream;
    cudaGraph_t graph = nullptr;
    // Of this thread alone: others may take memory meanwhile.
    check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal), "recording");
    try {
        work(stream.get());
    } catch (...) {
        cudaStreamEndCapture(stream.get(), &graph);
        if (graph != nullptr) cudaGraphDestroy(graph);
        cudaGetLastError();
        throw;
    }
    check(cudaStreamEndCapture(stream.get(), &graph), "recording");
    const cudaError_t made = cudaGraphInstantiate(&recorded_->executable, graph, 0);
    cudaGraphDestroy(graph);
    check(made, "making a graph of what was recorded");
}

Recording::~Recording() = default;

void Recording::start(Stream stream) const {
    const Entered entered;
    check(cudaGraphLaunch(recorded_->executable, stream), "starting a recorded graph");
}

}  // namespace yolo::cuda
