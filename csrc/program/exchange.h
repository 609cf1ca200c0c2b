// Sums over ranks from inside a running program: the few numbers of a synchronised batch norm.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace yolo::program {

// A socket that is closed with its owner.
class Socket {
public:
    explicit Socket(int descriptor = -1) : descriptor_(descriptor) {}
    ~Socket();
    Socket(Socket&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
    Socket& operator=(Socket&& other) noexcept;
    int get() const { return descriptor_; }

private:
    int descriptor_;
};

// Every rank calls add_up with as many numbers, in the same order of calls. A star around rank 0, which adds in the
// order of ranks, so that all ranks get the same sums and a repeated run does too. For a few thousand numbers; large
// ones are OneFlow's business.
class Exchange {
public:
    // peers: on rank 0 the other ranks' sockets in order, on others the one to rank 0.
    Exchange(int rank, int ranks, std::vector<Socket> peers);

    // Replace values by their sums over ranks. Raises std::runtime_error, naming the rank, when one is lost or silent.
    void add_up(double* values, size_t count);
    int ranks() const { return ranks_; }

private:
    [[noreturn]] void lost(int rank, const char* what) const;
    void send(int rank, const Socket& to, const void* data, size_t bytes) const;
    void receive(int rank, const Socket& from, void* data, size_t bytes) const;

    int rank_, ranks_;
    std::vector<Socket> peers_;
    std::vector<double> received_;
};

// Where rank 0 waits for the others; the port is any free one. Connections must bring `token`.
class ExchangeListener {
public:
    explicit ExchangeListener(uint64_t token);
    int port() const { return port_; }
    uint64_t token() const { return token_; }
    // Waits for all other ranks. Raises std::runtime_error when they do not come within `seconds`; the exchange gives
    // up after as many.
    std::shared_ptr<Exchange> accept(int ranks, double seconds);

private:
    uint64_t token_;
    Socket socket_;
    int port_;
};

// Another rank's side. Raises std::runtime_error when rank 0 cannot be reached within `seconds`.
std::shared_ptr<Exchange> connect_exchange(const std::string& host, int port, uint64_t token, int rank, int ranks,
                                           double seconds);

}  // namespace yolo::program
