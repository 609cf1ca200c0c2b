#include "parallel/team.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "parallel/waiting.h"

namespace yolo::parallel {
namespace {

struct Loop {
    int threads = 1;
    void (*action)(void*) = nullptr;
    void* data = nullptr;
};

// The caller's place in the loops that it is inside of, the innermost last.
thread_local std::vector<Seat> seats;
std::atomic<int> default_number{0};  // 0: as many as there are cores
thread_local int wanted = 0;
thread_local int turns = 0;  // how often the calling thread has the team

class Team {
public:
    void take() { turn_.lock(); }
    void give() { turn_.unlock(); }

    // For the thread whose turn it is.
    void begin(const Loop& loop) {
        while (static_cast<int>(calls_.size()) < loop.threads - 1) hire();
        loop_ = loop;
        left_.reset(static_cast<uint32_t>(loop.threads - 1));
        ++number_;
        for (int i = 0; i < loop.threads - 1; ++i) calls_[static_cast<size_t>(i)]->set(number_);
    }

    void end() { left_.await_zero(); }

    void meet() {
        const uint32_t round = round_.value();
        // The last one opens the gate for all, when the count is ready for the next time.
        if (here_.fetch_add(1) + 1 == loop_.threads) {
            here_.store(0);
            round_.set(round + 1);
        } else {
            round_.await_other(round);
        }
    }

private:
    void hire() {
        auto call = std::make_unique<Signal>();
        call->reset(number_);
        const int thread = static_cast<int>(calls_.size()) + 1;
        sigset_t all, before;  // signals are for the program's own threads
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        try {
            std::thread([this, thread, &call = *call, seen = number_] { work(call, thread, seen); }).detach();
        } catch (...) {
            pthread_sigmask(SIG_SETMASK, &before, nullptr);
            throw;
        }
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        calls_.push_back(std::move(call));
    }

    [[noreturn]] void work(Signal& call, int thread, uint32_t seen);

    std::mutex turn_;
    Loop loop_;
    uint32_t number_ = 0;
    std::vector<std::unique_ptr<Signal>> calls_;  // of each thread but the caller
    Signal left_, round_;
    std::atomic<int> here_{0};
};

void Team::work(Signal& call, int thread, uint32_t seen) {
    pthread_setname_np(pthread_self(), "yolo-team");
    for (SharedCores cores;; cores.look()) {
        if (call.await_other(seen)) cores.restart();
        seen = call.value();
        seats.push_back({thread, loop_.threads});
        loop_.action(loop_.data);
        seats.pop_back();
        left_.count_down();
    }
}

// Never destroyed: its threads live as long as the process. A fork's child has no other thread than the one that forked,
// and gets a team when it needs one; most children run other programs.
std::atomic<Team*> current{nullptr};

Team& team() {
    static const int watched = pthread_atfork(nullptr, nullptr, [] { current = nullptr; });
    static_cast<void>(watched);
    Team* one = current;
    if (one != nullptr) return *one;
    auto made = std::make_unique<Team>();
    return current.compare_exchange_strong(one, made.get()) ? *made.release() : *one;
}

void take_turn() {
    if (turns++ == 0) team().take();
}

void give_turn() {
    if (--turns == 0) team().give();
}

// How many cores this process may run on.
int cores() {
    cpu_set_t allowed;
    const bool known = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
    return std::max(1, known ? CPU_COUNT(&allowed) : static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

Seat seat() {
    return seats.empty() ? Seat{} : seats.back();
}

int default_threads() {
    const int number = default_number;
    return number > 0 ? number : cores();
}

void set_default_threads(int threads) {
    default_number = threads;
}

int preferred_threads() {
    return wanted > 0 ? wanted : default_threads();
}

void prefer_threads(int threads) {
    wanted = threads;
}

Turn::Turn() {
    take_turn();
}

Turn::~Turn() {
    give_turn();
}

void begin(int threads, void (*action)(void*), void* data) {
    if (seat().threads > 1) threads = 1;
    if (threads > 1) {
        take_turn();
        try {
            team().begin({threads, action, data});
        } catch (...) {
            give_turn();
            throw;
        }
    }
    seats.push_back({0, std::max(threads, 1)});
}

void end() {
    const Seat own = seat();
    seats.pop_back();
    if (own.threads > 1) {
        team().end();
        give_turn();
    }
}

void run(int threads, void (*action)(void*), void* data) {
    begin(threads, action, data);
    action(data);
    end();
}

void meet() {
    if (seat().threads > 1) team().meet();
}

}  // namespace yolo::parallel
