// The device of the host's: memory is the machine's own, and work is done when it is given.
#include "cuda/device.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

namespace yolo::cuda {
namespace {

// What recorded work is given to. As on a GPU nothing in it may wait, though here it is done anew each time.
Stream recording() {
    static char stream;
    return reinterpret_cast<Stream>(&stream);
}

constexpr int kDevices = 2;  // all of the host's memory; so that there is one more to ask for
int used = -1;

}  // namespace

std::string unavailable(int index) {
    return index < kDevices ? "" : "there is no device " + std::to_string(index);
}

void use(int index) {
    if (used >= 0 && used != index) throw std::invalid_argument("this process works on another device already");
    used = index;
}

std::string description(int) {
    return "the host's processor, for tests";
}

std::pair<int, int> capability(int) {
    return {9, 0};
}

MemoryInfo memory_info() {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    return {static_cast<size_t>(sysconf(_SC_AVPHYS_PAGES)) * page, static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * page};
}

DeviceBuffer::DeviceBuffer(size_t bytes) : bytes_(bytes) {
    constexpr size_t kAlignment = 256;
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    if (rounded == 0) return;
    data_ = static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded));
    if (data_ == nullptr) throw OutOfMemoryError("the device has not as much memory: " + std::to_string(bytes) + " bytes");
    std::memset(data_, 0, rounded);
}

DeviceBuffer::~DeviceBuffer() {
    std::free(data_);
}

void copy_in(void* to, const void* from, size_t bytes, Stream) {
    std::memcpy(to, from, bytes);
}

void copy_out(void* to, const void* from, size_t bytes, Stream) {
    std::memcpy(to, from, bytes);
}

void copy(void* to, const void* from, size_t bytes, Stream) {
    std::memcpy(to, from, bytes);
}

void clear(void* data, size_t bytes, Stream) {
    std::memset(data, 0, bytes);
}

OwnStream::OwnStream() = default;
OwnStream::~OwnStream() = default;

void synchronise(Stream stream) {
    if (stream == recording()) throw DeviceError("what is recorded waits for the device");
}

struct Mark::Passed {
    std::chrono::steady_clock::time_point time;
};

Mark::Mark() : passed_(new Passed) {}
Mark::~Mark() = default;

void Mark::set(Stream) {
    passed_->time = std::chrono::steady_clock::now();
}

double Mark::until(const Mark& later) const {
    return std::chrono::duration<double>(later.passed_->time - passed_->time).count();
}

struct Recording::Recorded {
    std::function<void(Stream)> work;
};

Recording::Recording(const std::function<void(Stream)>& work) : recorded_(new Recorded{work}) {}
Recording::~Recording() = default;

void Recording::start(Stream) const {
    recorded_->work(recording());
}

}  // namespace yolo::cuda
