#include "net/exchange.h"

#include <stdexcept>
#include <utility>

namespace yolo::net {

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

std::string Exchange::receive_text(size_t peer) const {
    uint64_t size = 0;
    receive(peer, &size, sizeof size);
    std::string text(size, '\0');
    receive(peer, text.data(), text.size());
    return text;
}

void Exchange::add_up(double* values, size_t count) {
    const size_t bytes = count * sizeof(double);
    if (rank_ != 0) {
        send(0, values, bytes);
        receive(0, values, bytes);
        return;
    }
    received_.resize(count);
    for (size_t peer = 0; peer < peers_.size(); ++peer) {
        receive(peer, received_.data(), bytes);
        for (size_t i = 0; i < count; ++i) values[i] += received_[i];
    }
    for (size_t peer = 0; peer < peers_.size(); ++peer) send(peer, values, bytes);
}

std::vector<std::string> Exchange::tell(const std::string& message) {
    std::vector<std::string> all;
    if (rank_ != 0) {
        send_text(0, message);
        for (int rank = 0; rank < ranks_; ++rank) all.push_back(receive_text(0));
        return all;
    }
    all.push_back(message);
    for (size_t peer = 0; peer < peers_.size(); ++peer) all.push_back(receive_text(peer));
    for (size_t peer = 0; peer < peers_.size(); ++peer) {
        for (const std::string& text : all) send_text(peer, text);
    }
    return all;
}

}  // namespace yolo::net
