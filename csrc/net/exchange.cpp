#include "net/exchange.h"

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <utility>

namespace yolo::net {
namespace {

constexpr size_t kPiece = 1 << 22;  // bytes

}  // namespace

Exchange::Exchange(int rank, int ranks, std::vector<Socket> peers)
    : rank_(rank), ranks_(ranks), peers_(std::move(peers)) {}

void Exchange::lost(int rank) const {
    throw std::runtime_error("rank " + std::to_string(rank_) + " lost its connection to rank " + std::to_string(rank));
}

void Exchange::send(size_t peer, const void* data, size_t bytes) const {
    if (!peers_[peer].write(data, bytes)) lost(number(peer));
}

void Exchange::receive(size_t peer, void* data, size_t bytes) const {
    if (!peers_[peer].read(data, bytes)) lost(number(peer));
}

void Exchange::send_text(size_t peer, const std::string& text) const {
    const uint64_t size = text.size();
    send(peer, &size, sizeof size);
    send(peer, text.data(), text.size());
}

std::string Exchange::receive_text(size_t peer, size_t most) const {
    uint64_t size = 0;
    receive(peer, &size, sizeof size);
    if (size > most) {
        throw std::runtime_error("rank " + std::to_string(number(peer)) + " announces a message of " +
                                 std::to_string(size) + " bytes where there may be " + std::to_string(most));
    }
    std::string text;
    while (text.size() < size) {
        const size_t done = text.size(), piece = std::min<size_t>(size - done, kPiece);
        text.resize(done + piece);
        receive(peer, text.data() + done, piece);
    }
    return text;
}

void Exchange::limit(double seconds) const {
    for (const Socket& peer : peers_) peer.limit(seconds);
}

template <class Number>
void Exchange::add_pieces(Number* values, size_t count) {
    constexpr size_t kMost = kPiece / sizeof(Number);
    for (size_t done = 0; done < count; done += kMost) add_piece(values + done, std::min(kMost, count - done));
}

template <class Number>
void Exchange::add_piece(Number* values, size_t count) {
    const size_t bytes = count * sizeof(Number);
    if (rank_ != 0) {
        send(0, values, bytes);
        receive(0, values, bytes);
        return;
    }
    sums_.assign(values, values + count);
    received_.resize(bytes);
    for (size_t peer = 0; peer < peers_.size(); ++peer) {
        receive(peer, received_.data(), bytes);
        const auto* const received = reinterpret_cast<const Number*>(received_.data());
        for (size_t i = 0; i < count; ++i) sums_[i] += received[i];
    }
    for (size_t i = 0; i < count; ++i) values[i] = static_cast<Number>(sums_[i]);
    for (size_t peer = 0; peer < peers_.size(); ++peer) send(peer, values, bytes);
}

template void Exchange::add_pieces(float* values, size_t count);
template void Exchange::add_pieces(double* values, size_t count);

std::vector<std::string> Exchange::tell(const std::string& message, size_t most) {
    std::vector<std::string> all;
    if (rank_ != 0) {
        send_text(0, message);
        for (int rank = 0; rank < ranks_; ++rank) all.push_back(receive_text(0, most));
        return all;
    }
    all.push_back(message);
    for (size_t peer = 0; peer < peers_.size(); ++peer) all.push_back(receive_text(peer, most));
    for (size_t peer = 0; peer < peers_.size(); ++peer) {
        for (const std::string& text : all) send_text(peer, text);
    }
    return all;
}

}  // namespace yolo::net
