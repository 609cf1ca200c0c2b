// Ranks as threads that add up by what csrc/cuda/gpu/nccl.cpp loads, for tests: nccl_ranks FOLDER... (one a rank). Prints
// a line a rank.
#include <sys/socket.h>

#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cuda/gpu/current.h"
#include "cuda/group.h"

// There is no GPU.
yolo::cuda::Entered::Entered() = default;
yolo::cuda::Entered::~Entered() = default;

namespace {

using namespace yolo;

std::vector<std::unique_ptr<net::Exchange>> exchanges(int ranks) {
    std::vector<net::Socket> centre;
    std::vector<std::unique_ptr<net::Exchange>> all(static_cast<size_t>(ranks));
    for (int rank = 1; rank < ranks; ++rank) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) std::abort();
        centre.emplace_back(pair[0]);
        std::vector<net::Socket> own;
        own.emplace_back(pair[1]);
        all[static_cast<size_t>(rank)] = std::make_unique<net::Exchange>(rank, ranks, std::move(own));
    }
    all[0] = std::make_unique<net::Exchange>(0, ranks, std::move(centre));
    return all;
}

std::string line_of(net::Exchange& exchange, const std::string& folder) {
    try {
        const auto group = cuda::nccl_group(exchange, folder);
        float single[] = {0.5f, static_cast<float>(exchange.rank())};
        double twofold[] = {1e-12, 1.0, 10.0 * exchange.rank()};
        group->sum(single, 2, nullptr);
        group->sum(twofold, 3, nullptr);
        char text[200];
        std::snprintf(text, sizeof text, "%d: %g %g, %.15g %g %g%s", group->ranks(), single[0], single[1], twofold[0],
                      twofold[1], twofold[2], group->recordable() ? "" : ", waits");
        return text;
    } catch (const cuda::DeviceError& error) {
        return error.what();
    }
}

}  // namespace

int main(int count, char** given) {
    const int ranks = count - 1;
    const auto linked = exchanges(ranks);
    std::vector<std::string> lines(linked.size());
    std::vector<std::thread> threads;
    for (size_t rank = 0; rank < linked.size(); ++rank) {
        threads.emplace_back([&, rank] { lines[rank] = line_of(*linked[rank], given[rank + 1]); });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::string& line : lines) std::printf("%s\n", line.c_str());
    return 0;
}
