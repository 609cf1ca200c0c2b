// What ranks tell each other outside OneFlow: few numbers, in the middle of a running operator or before OneFlow is up.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "net/socket.h"

namespace yolo::net {

// A star around rank 0. Every rank makes the same calls in the same order. How long a rank may be silent is the Watch's
// business; here a lost connection raises std::runtime_error, naming the rank.
class Exchange {
public:
    // peers: on rank 0 the other ranks' sockets in order, on others the one to rank 0.
    Exchange(int rank, int ranks, std::vector<Socket> peers);

    // Replace values by their sums over ranks, added in float64 in the order of ranks: all ranks get the same, every
    // time. For the sums of a batch norm, and for a gradient where nothing better is at hand: all goes by way of rank 0.
    void add_up(double* values, size_t count) { add_pieces(values, count); }
    void add_up(float* values, size_t count) { add_pieces(values, count); }

    // Everybody's message, in the order of ranks. Raises std::runtime_error for one that is said to have more than
    // `most` bytes; memory for a shorter one is taken as it comes.
    std::vector<std::string> tell(const std::string& message, size_t most);

    // How long a rank may be silent in a call, in seconds; 0 for any time, as at first.
    void limit(double seconds) const;

    int rank() const { return rank_; }
    int ranks() const { return ranks_; }

private:
    [[noreturn]] void lost(int rank) const;
    // The rank at the other end of a peer.
    int number(size_t peer) const { return rank_ == 0 ? static_cast<int>(peer) + 1 : 0; }
    void send(size_t peer, const void* data, size_t bytes) const;
    void receive(size_t peer, void* data, size_t bytes) const;
    template <class Number>
    void add_pieces(Number* values, size_t count);
    template <class Number>
    void add_piece(Number* values, size_t count);
    void send_text(size_t peer, const std::string& text) const;
    std::string receive_text(size_t peer, size_t most) const;

    int rank_, ranks_;
    std::vector<Socket> peers_;
    std::vector<double> sums_;  // of a piece, on rank 0
    std::vector<std::byte> received_;
};

}  // namespace yolo::net
