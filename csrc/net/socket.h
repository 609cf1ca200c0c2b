// Connections between the ranks of a run, which yolo.meeting has made.
#pragma once

#include <chrono>
#include <cstddef>

namespace yolo::net {

using Clock = std::chrono::steady_clock;

// Of any kind that is a stream. Closed with its owner.
class Socket {
public:
    explicit Socket(int descriptor = -1) : descriptor_(descriptor) {}
    ~Socket();
    Socket(Socket&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
    Socket& operator=(Socket&& other) noexcept;
    int get() const { return descriptor_; }

    // All of it, or false: the connection is lost, a time limit passed, or all of it has not gone by `end`.
    bool write(const void* data, size_t bytes, Clock::time_point end = Clock::time_point::max()) const;
    bool read(void* data, size_t bytes, Clock::time_point end = Clock::time_point::max()) const;
    // How long a write or read may take in which nothing moves; 0 for any time.
    void limit(double seconds) const;

private:
    int descriptor_;
};

Clock::time_point after(double seconds);

}  // namespace yolo::net
