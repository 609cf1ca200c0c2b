#include "program/exchange.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <utility>

namespace yolo::program {
namespace {

using Clock = std::chrono::steady_clock;

struct Greeting {
    uint64_t token;
    int64_t rank;
};

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what + ": " + std::strerror(errno));
}

// Small messages at once, and a limit on how long any of them may take.
void prepare(const Socket& socket, double seconds) {
    const int on = 1;
    setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    timeval limit{};
    limit.tv_sec = static_cast<time_t>(seconds);
    limit.tv_usec = static_cast<suseconds_t>((seconds - std::floor(seconds)) * 1e6);
    setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

// The bytes that came before the end, a failure or the time limit.
size_t read_all(int descriptor, void* data, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
        const ssize_t got = recv(descriptor, static_cast<char*>(data) + done, bytes - done, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        done += static_cast<size_t>(got);
    }
    return done;
}

size_t write_all(int descriptor, const void* data, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
        const ssize_t put = ::send(descriptor, static_cast<const char*>(data) + done, bytes - done, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) break;
        done += static_cast<size_t>(put);
    }
    return done;
}

int milliseconds_left(Clock::time_point end) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    return left > 0 ? static_cast<int>(left) : 0;
}

Clock::time_point after(double seconds) {
    return Clock::now() + std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

}  // namespace

Socket::~Socket() {
    if (descriptor_ >= 0) close(descriptor_);
}

Socket& Socket::operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
}

Exchange::Exchange(int rank, int ranks, std::vector<Socket> peers)
    : rank_(rank), ranks_(ranks), peers_(std::move(peers)) {}

void Exchange::lost(int rank, const char* what) const {
    const bool silent = errno == EAGAIN || errno == EWOULDBLOCK;
    throw std::runtime_error("rank " + std::to_string(rank_) + " " + what + " rank " + std::to_string(rank) + ": " +
                             (silent ? "it is silent" : "the connection is lost"));
}

void Exchange::send(int rank, const Socket& to, const void* data, size_t bytes) const {
    errno = 0;
    if (write_all(to.get(), data, bytes) != bytes) lost(rank, "cannot send to");
}

void Exchange::receive(int rank, const Socket& from, void* data, size_t bytes) const {
    errno = 0;
    if (read_all(from.get(), data, bytes) != bytes) lost(rank, "hears nothing from");
}

void Exchange::add_up(double* values, size_t count) {
    const size_t bytes = count * sizeof(double);
    if (rank_ != 0) {
        send(0, peers_[0], values, bytes);
        receive(0, peers_[0], values, bytes);
        return;
    }
    received_.resize(count);
    for (int rank = 1; rank < ranks_; ++rank) {
        receive(rank, peers_[static_cast<size_t>(rank - 1)], received_.data(), bytes);
        for (size_t i = 0; i < count; ++i) values[i] += received_[i];
    }
    for (int rank = 1; rank < ranks_; ++rank) send(rank, peers_[static_cast<size_t>(rank - 1)], values, bytes);
}

ExchangeListener::ExchangeListener(uint64_t token) : token_(token), socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    socklen_t size = sizeof address;
    auto* plain = reinterpret_cast<sockaddr*>(&address);
    if (socket_.get() < 0 || bind(socket_.get(), plain, size) != 0 || listen(socket_.get(), 1024) != 0 ||
        getsockname(socket_.get(), plain, &size) != 0) {
        fail("rank 0 cannot listen for the other ranks");
    }
    port_ = ntohs(address.sin_port);
}

std::shared_ptr<Exchange> ExchangeListener::accept(int ranks, double seconds) {
    std::vector<Socket> peers(static_cast<size_t>(ranks - 1));
    const auto end = after(seconds);
    for (int missing = ranks - 1; missing > 0;) {
        pollfd waiting{socket_.get(), POLLIN, 0};
        if (poll(&waiting, 1, milliseconds_left(end)) <= 0) {
            throw std::runtime_error(std::to_string(missing) + " of " + std::to_string(ranks) +
                                     " ranks did not connect to rank 0");
        }
        Socket peer(::accept(socket_.get(), nullptr, nullptr));
        if (peer.get() < 0) continue;
        prepare(peer, 5.0);  // a stranger who says nothing must not keep the others waiting
        Greeting greeting{};
        const bool whole = read_all(peer.get(), &greeting, sizeof greeting) == sizeof greeting;
        if (!whole || greeting.token != token_ || greeting.rank < 1 || greeting.rank >= ranks) continue;
        prepare(peer, seconds);
        Socket& place = peers[static_cast<size_t>(greeting.rank - 1)];
        if (place.get() < 0) --missing;
        place = std::move(peer);
    }
    return std::make_shared<Exchange>(0, ranks, std::move(peers));
}

std::shared_ptr<Exchange> connect_exchange(const std::string& host, int port, uint64_t token, int rank, int ranks,
                                           double seconds) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
        throw std::runtime_error("rank 0's address is unknown: " + host);
    }
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> address(found, &freeaddrinfo);
    for (const auto end = after(seconds); Clock::now() < end; std::this_thread::sleep_for(std::chrono::milliseconds(50))) {
        Socket peer(socket(AF_INET, SOCK_STREAM, 0));
        if (peer.get() < 0) fail("no socket");
        prepare(peer, seconds);
        if (connect(peer.get(), address->ai_addr, address->ai_addrlen) != 0) continue;
        const Greeting greeting{token, rank};
        if (write_all(peer.get(), &greeting, sizeof greeting) != sizeof greeting) continue;
        std::vector<Socket> peers;
        peers.push_back(std::move(peer));
        return std::make_shared<Exchange>(rank, ranks, std::move(peers));
    }
    fail("rank " + std::to_string(rank) + " cannot reach rank 0 at " + host + ":" + std::to_string(port));
}

}  // namespace yolo::program
