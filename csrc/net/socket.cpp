#include "net/socket.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <utility>

namespace yolo::net {

Socket::~Socket() {
    if (descriptor_ >= 0) close(descriptor_);
}

Socket& Socket::operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
}

bool Socket::write(const void* data, size_t bytes, Clock::time_point end) const {
    for (size_t done = 0; done < bytes;) {
        const ssize_t put = send(descriptor_, static_cast<const char*>(data) + done, bytes - done, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        done += static_cast<size_t>(put);
        if (done < bytes && Clock::now() > end) return false;
    }
    return true;
}

bool Socket::read(void* data, size_t bytes, Clock::time_point end) const {
    for (size_t done = 0; done < bytes;) {
        const ssize_t got = recv(descriptor_, static_cast<char*>(data) + done, bytes - done, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        done += static_cast<size_t>(got);
        if (done < bytes && Clock::now() > end) return false;
    }
    return true;
}

void Socket::limit(double seconds) const {
    timeval limit{};
    limit.tv_sec = static_cast<time_t>(seconds);
    limit.tv_usec = static_cast<suseconds_t>((seconds - std::floor(seconds)) * 1e6);
    setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

Clock::time_point after(double seconds) {
    return Clock::now() + std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

}  // namespace yolo::net
