// A device's memory, its queue of work and what is recorded once and then started as a whole. Two halves implement it:
// gpu/ on the CUDA runtime, and host/ on the CPU, where work is done when it is given and device memory is the host's.
// All of these raise DeviceError, in one line, where the device refuses.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

struct CUstream_st;

namespace yolo::cuda {

// Work given to one stream is done in order. It is CUDA's cudaStream_t.
using Stream = CUstream_st*;

struct DeviceError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The device has not as much memory free.
struct OutOfMemoryError : DeviceError {
    using DeviceError::DeviceError;
};

// Why there is no such device to run on, in one line; empty where there is one. Devices count from 0, as this process
// sees them.
std::string unavailable(int index);

// Of one that is there: "NVIDIA H200, compute capability 9.0, 139.8 GiB, driver 13.0"; {9, 0}.
std::string description(int index);
std::pair<int, int> capability(int index);

// The one device of this process, which all that follows is of; 0 where nobody has said. Raises std::invalid_argument
// once another one is in use: cuDNN's plans and the programs' constants are of one device.
void use(int index);


// Bytes that are free, and all that the device has.
struct MemoryInfo {
    size_t free = 0, total = 0;
};
MemoryInfo memory_info();

// Zeroed memory of the device, aligned to 256 bytes.
class DeviceBuffer {
public:
    explicit DeviceBuffer(size_t bytes);
    ~DeviceBuffer();
    DeviceBuffer(const DeviceBuffer&) = delete;
    DeviceBuffer& operator=(const DeviceBuffer&) = delete;
    std::byte* data() const { return data_; }
    size_t bytes() const { return bytes_; }

private:
    std::byte* data_ = nullptr;
    size_t bytes_;
};

// Between the host's memory and the device's, and on the device. The host's memory stays as it is until synchronise().
void copy_in(void* to, const void* from, size_t bytes, Stream stream);
void copy_out(void* to, const void* from, size_t bytes, Stream stream);
void copy(void* to, const void* from, size_t bytes, Stream stream);
void clear(void* data, size_t bytes, Stream stream);

// A stream of its own.
class OwnStream {
public:
    OwnStream();
    ~OwnStream();
    OwnStream(const OwnStream&) = delete;
    OwnStream& operator=(const OwnStream&) = delete;
    Stream get() const { return stream_; }

private:
    Stream stream_ = nullptr;
};

// Waits until all work of the stream is done. Raises what went wrong in it.
void synchronise(Stream stream);

// A moment between pieces of a stream's work.
class Mark {
public:
    Mark();
    ~Mark();
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;
    void set(Stream stream);
    // Seconds of the device between two that it has passed.
    double until(const Mark& later) const;

private:
    struct Passed;
    std::unique_ptr<Passed> passed_;
};

// Work that is recorded once, with the addresses it then had, and started as a whole (a CUDA graph).
class Recording {
public:
    // `work` gives work to the stream that it is called with, and neither waits nor allocates.
    explicit Recording(const std::function<void(Stream)>& work);
    ~Recording();
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;
    void start(Stream stream) const;

private:
    struct Recorded;
    std::unique_ptr<Recorded> recorded_;
};

}  // namespace yolo::cuda
