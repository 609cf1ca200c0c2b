// TCP connections between the ranks of a run.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace yolo::net {

using Clock = std::chrono::steady_clock;

// Closed with its owner.
class Socket {
public:
    explicit Socket(int descriptor = -1) : descriptor_(descriptor) {}
    ~Socket();
    Socket(Socket&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
    Socket& operator=(Socket&& other) noexcept;
    int get() const { return descriptor_; }
    bool open() const { return descriptor_ >= 0; }

    // All of it, or false: the connection is lost or the time limit passed.
    bool write(const void* data, size_t bytes) const;
    bool read(void* data, size_t bytes) const;
    // How long one write or read may take; 0 for any time.
    void limit(double seconds) const;

private:
    int descriptor_;
};

Clock::time_point after(double seconds);

// Raises std::system_error (EADDRINUSE where another program has the port).
Socket listen_on(int port);
int port_of(const Socket& listener);

// The next connection, or a closed socket when none comes in time.
Socket accept_until(const Socket& listener, Clock::time_point end);

// Tries until someone listens there; a closed socket when nobody does in time. Raises std::runtime_error for a host that
// has no address.
Socket connect_until(const std::string& host, int port, Clock::time_point end);

}  // namespace yolo::net
