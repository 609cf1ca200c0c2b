#include "net/meeting.h"

#include <cstdint>
#include <stdexcept>
#include <utility>

#include "net/last_words.h"

namespace yolo::net {
namespace {

constexpr uint64_t kMark = 0x594f4c4f52414e4b;  // a stranger's connection does not begin so

struct Greeting {
    uint64_t mark;
    int64_t rank, ranks, channel;
};

std::string waiting(int rank, const std::string& others) {
    return "yolo: rank " + std::to_string(rank) + " is told to end while it still waits for " + others +
           ". Start the command again.";
}

}  // namespace

Meeting::Meeting(const std::string& host, int port, int rank, int ranks, double seconds) : rank_(rank), ranks_(ranks) {
    const size_t peers = rank == 0 ? static_cast<size_t>(ranks - 1) : 1;
    talk_.resize(peers);
    pulse_.resize(peers);
    if (rank == 0) {
        receive_all(port, seconds);
    } else {
        go(host, port, seconds);
    }
}

void Meeting::receive_all(int port, double seconds) {
    const Socket listener = listen_on(port);
    const auto end = after(seconds);
    LastWords words;
    for (int missing = 2 * (ranks_ - 1); missing > 0;) {
        words.set(waiting(rank_, "rank " + absent()));
        Socket peer = accept_until(listener, end);
        if (!peer.open()) {
            throw std::runtime_error("of " + std::to_string(ranks_) + " ranks these did not come within " +
                                     std::to_string(static_cast<int>(seconds)) + " s: " + absent());
        }
        peer.limit(2.0);  // a stranger who says nothing must not keep the others waiting
        Greeting greeting{};
        if (!peer.read(&greeting, sizeof greeting) || greeting.mark != kMark || greeting.rank < 1 ||
            greeting.rank >= ranks_ || greeting.ranks != ranks_) {
            continue;
        }
        peer.limit(0.0);
        Socket& place = (greeting.channel == 0 ? talk_ : pulse_)[static_cast<size_t>(greeting.rank - 1)];
        if (!place.open()) --missing;
        place = std::move(peer);
    }
}

std::string Meeting::absent() const {
    std::string who;
    for (size_t i = 0; i < talk_.size(); ++i) {
        if (!talk_[i].open() || !pulse_[i].open()) who += (who.empty() ? "" : ", ") + std::to_string(i + 1);
    }
    return who;
}

void Meeting::go(const std::string& host, int port, double seconds) {
    const auto end = after(seconds);
    LastWords words;
    words.set(waiting(rank_, "rank 0"));
    for (int64_t channel = 0; channel < 2; ++channel) {
        Socket peer = connect_until(host, port, end);
        const Greeting greeting{kMark, rank_, ranks_, channel};
        if (!peer.open() || !peer.write(&greeting, sizeof greeting)) {
            throw std::runtime_error("rank " + std::to_string(rank_) + " cannot reach rank 0 at " + host + ":" +
                                     std::to_string(port) + " within " + std::to_string(static_cast<int>(seconds)) +
                                     " s");
        }
        (channel == 0 ? talk_ : pulse_)[0] = std::move(peer);
    }
}

std::shared_ptr<Exchange> Meeting::exchange() {
    return std::make_shared<Exchange>(rank_, ranks_, std::move(talk_));
}

std::shared_ptr<Watch> Meeting::watch(std::vector<std::string> people, std::vector<int> near, double patience) {
    return std::make_shared<Watch>(rank_, std::move(pulse_), std::move(people), std::move(near), patience);
}

}  // namespace yolo::net
