#include "net/socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

namespace yolo::net {
namespace {

constexpr auto kBetweenTries = std::chrono::milliseconds(50);

// Small messages go at once.
void hasten(const Socket& socket) {
    const int on = 1;
    setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int milliseconds_until(Clock::time_point end) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    return left > 0 ? static_cast<int>(left) : 0;
}

sockaddr_in address_of(const Socket& socket, decltype(&getsockname) end) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    end(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return address;
}

// Linux may connect a socket to itself where nobody listens yet and the port is one that it gives away itself; whoever
// is to listen there would then find it taken.
bool own_peer(const Socket& socket) {
    const sockaddr_in own = address_of(socket, &getsockname), other = address_of(socket, &getpeername);
    return own.sin_port == other.sin_port && own.sin_addr.s_addr == other.sin_addr.s_addr;
}

}  // namespace

Socket::~Socket() {
    if (descriptor_ >= 0) close(descriptor_);
}

Socket& Socket::operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
}

bool Socket::write(const void* data, size_t bytes) const {
    for (size_t done = 0; done < bytes;) {
        const ssize_t put = send(descriptor_, static_cast<const char*>(data) + done, bytes - done, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        done += static_cast<size_t>(put);
    }
    return true;
}

bool Socket::read(void* data, size_t bytes) const {
    for (size_t done = 0; done < bytes;) {
        const ssize_t got = recv(descriptor_, static_cast<char*>(data) + done, bytes - done, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        done += static_cast<size_t>(got);
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

Socket listen_on(int port) {
    Socket listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);  // a port that a run has just left is free
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    address.sin_port = htons(static_cast<uint16_t>(port));
    const auto* plain = reinterpret_cast<const sockaddr*>(&address);
    if (!listener.open() || bind(listener.get(), plain, sizeof address) != 0 || listen(listener.get(), 1024) != 0) {
        throw std::system_error(errno, std::generic_category(), "port " + std::to_string(port));
    }
    return listener;
}

int port_of(const Socket& listener) {
    return ntohs(address_of(listener, &getsockname).sin_port);
}

Socket accept_until(const Socket& listener, Clock::time_point end) {
    for (;;) {
        pollfd waiting{listener.get(), POLLIN, 0};
        const int found = poll(&waiting, 1, milliseconds_until(end));
        if (found < 0 && errno == EINTR) continue;
        if (found <= 0) return Socket();
        Socket peer(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!peer.open()) continue;
        hasten(peer);
        return peer;
    }
}

Socket connect_until(const std::string& host, int port, Clock::time_point end) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
        throw std::runtime_error(host + " has no address");
    }
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> address(found, &freeaddrinfo);
    do {
        Socket peer(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        peer.limit(5.0);  // a machine that does not answer; then again
        if (peer.open() && connect(peer.get(), address->ai_addr, address->ai_addrlen) == 0) {
            if (!own_peer(peer)) {
                hasten(peer);
                peer.limit(0.0);
                return peer;
            }
            const linger none{1, 0};  // its port is free at once
            setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
        }
        peer = Socket();  // closed before the wait
        std::this_thread::sleep_for(kBetweenTries);
    } while (Clock::now() < end);
    return Socket();
}

}  // namespace yolo::net
