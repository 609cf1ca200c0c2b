// How ranks find each other before anything else runs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/exchange.h"
#include "net/watch.h"

namespace yolo::net {

// Rank 0 waits at `port` until all others have come; they look for it at `host`. Raises std::system_error where the port
// is taken, std::runtime_error where not everybody comes within `seconds`. A process that SIGTERM ends meanwhile says for
// whom it has waited: a launcher ends all when one of its processes has.
class Meeting {
public:
    Meeting(const std::string& host, int port, int rank, int ranks, double seconds);

    // Once each.
    std::shared_ptr<Exchange> exchange();
    std::shared_ptr<Watch> watch(std::vector<std::string> people, std::vector<int> near, double patience);

private:
    void receive_all(int port, double seconds);
    void go(const std::string& host, int port, double seconds);
    // The numbers of those who have not come, for people.
    std::string absent() const;

    int rank_, ranks_;
    std::vector<Socket> talk_, pulse_;
};

}  // namespace yolo::net
