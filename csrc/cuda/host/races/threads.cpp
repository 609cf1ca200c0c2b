// Kernels on threads of the machine, for ThreadSanitizer: two accesses are ordered here only where they are on a GPU. A
// block's barrier orders its threads and nothing else does before a kernel's end: not the order in which threads begin,
// nor exchanges of a warp, nor a thread's return, nor that one block runs after the other.
#include "cuda/host/races/schedule.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <future>
#include <thread>

#include "cuda/host/launch.h"

// Fences order memory for the machine. That the sanitizer does not see them is what they are used for.
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wtsan"

namespace yolo::cuda {
namespace {

std::atomic<uint32_t> schedule{1};

uint32_t mixed(uint64_t number) {
    number = (number ^ schedule.load(std::memory_order_relaxed)) * 0x9e3779b97f4a7c15u;
    return static_cast<uint32_t>((number ^ number >> 29) * 0xbf58476d1ce4e5b9u >> 32);
}

// Lets others run now and then.
void waver() {
    thread_local uint32_t steps = 0;
    const auto self = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(&steps));
    if (mixed(self << 20 ^ ++steps) % 4 == 0) std::this_thread::yield();
}

// Sleeps while the word is this, and wakes those who do. The sanitizer does not see what the system is asked for.
using Word = std::atomic<uint32_t>;
static_assert(sizeof(Word) == 4, "what the system waits at");

void sleep_at(Word& word, uint32_t value) {
    while (word.load(std::memory_order_relaxed) == value) {
        syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

void wake_at(Word& word) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    word.fetch_add(1, std::memory_order_relaxed);
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

// Counts who has come, and orders no memory for the sanitizer.
class Barrier {
public:
    explicit Barrier(int members) : members_(static_cast<uint32_t>(members)) {}
    // Stays what it is until the one who asks has come or left.
    uint32_t turn() const { return turn_.load(std::memory_order_relaxed); }
    void wait() {
        const uint32_t before = turn();
        change(kOneWaits);
        sleep_at(turn_, before);
    }
    void leave() { change(~uint32_t{0}); }

private:
    static constexpr uint32_t kOneWaits = 1 << 16;  // bits below: of the members that have not left

    void change(uint32_t by) {
        std::atomic_thread_fence(std::memory_order_seq_cst);
        uint32_t before = members_.load(std::memory_order_relaxed), after, members;
        bool all;
        do {
            after = before + by;
            members = after % kOneWaits;
            all = members != 0 && after / kOneWaits == members;
        } while (!members_.compare_exchange_weak(before, all ? members : after, std::memory_order_relaxed));
        if (all) wake_at(turn_);
    }

    Word members_, turn_{0};
};

// Threads that run one block after another: to begin new ones for each takes most of the time. What they do is ordered
// with the caller's work before run() and after done() alone.
class Team {
public:
    using Body = std::function<void(int)>;
    Team() = default;
    ~Team() {
        start(nullptr);
        for (std::thread& worker : workers_) worker.join();
    }
    // body(i) of all i below `count`, at the same time. The body stays as it is until done().
    void run(int count, const Body& body) {
        while (workers_.size() < static_cast<size_t>(count)) {
            const auto number = static_cast<int>(workers_.size());
            workers_.emplace_back([this, number, turn = turn_.load()] { work(number, turn); });
        }
        count_.store(count, std::memory_order_relaxed);
        start(&body);
        while (running_.load(std::memory_order_relaxed) > 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    void done() { ended_.load(std::memory_order_acquire); }

private:
    void start(const Body* body) {
        body_.store(body, std::memory_order_relaxed);
        running_.store(workers_.size(), std::memory_order_relaxed);
        begun_.fetch_add(1, std::memory_order_release);
        wake_at(turn_);
    }
    void work(int number, uint32_t turn) {
        for (;; ++turn) {
            sleep_at(turn_, turn);
            begun_.load(std::memory_order_acquire);
            const Body* const body = body_.load(std::memory_order_relaxed);
            if (body == nullptr) return;
            if (number < count_.load(std::memory_order_relaxed)) (*body)(number);
            ended_.fetch_add(1, std::memory_order_release);
            std::atomic_thread_fence(std::memory_order_seq_cst);
            running_.fetch_sub(1, std::memory_order_relaxed);
        }
    }

    std::vector<std::thread> workers_;
    std::atomic<const Body*> body_{nullptr};
    std::atomic<int> count_{0}, begun_{0}, ended_{0};
    std::atomic<size_t> running_{0};
    Word turn_{0};
};

class Threads final : public BlockState {
public:
    Threads(int threads, size_t shared_bytes) : block_(threads) {
        prepare(threads, shared_bytes);
        for (int warp = 0; warp < threads / 32; ++warp) warps_.push_back(std::make_unique<Barrier>(32));
    }

    // All that came have told, and who goes on has heard all of them. Two words, in turn: one who goes on late must not
    // hear what another one tells at the next barrier.
    void sync() override {
        std::atomic<int>& told = told_[block_.turn() % 2];
        told.fetch_add(1, std::memory_order_release);
        block_.wait();
        told.load(std::memory_order_acquire);
        waver();
    }
    void sync_warp(int warp) override { warps_[static_cast<size_t>(warp)]->wait(); }

    void leave(int thread) {
        warps_[static_cast<size_t>(thread / 32)]->leave();
        block_.leave();
    }

private:
    Barrier block_;
    std::vector<std::unique_ptr<Barrier>> warps_;
    std::atomic<int> told_[2] = {};
};

}  // namespace

void set_schedule(uint32_t number) {
    schedule = number;
}

void run_blocks(int64_t count, int threads, size_t shared_bytes, const std::function<void(const Block&)>& kernel) {
    constexpr int64_t kTeams = 3;  // so many blocks that follow one another are not ordered
    static Team teams[kTeams];
    std::vector<std::unique_ptr<Threads>> states;
    std::vector<std::unique_ptr<Team::Body>> bodies;
    for (int64_t i = 0; i < count; ++i) {
        const int64_t index = mixed(0) % 2 == 0 ? i : count - 1 - i;
        const auto all = static_cast<uint32_t>(threads), first = mixed(static_cast<uint64_t>(index)) % all;
        Threads* const state = states.emplace_back(std::make_unique<Threads>(threads, shared_bytes)).get();
        bodies.push_back(std::make_unique<Team::Body>([=, &kernel](int number) {
            const auto thread = static_cast<int>((first + static_cast<uint32_t>(number)) % all);
            waver();
            kernel(Block(*state, thread, threads, index));
            state->leave(thread);
        }));
        teams[i % kTeams].run(threads, *bodies.back());
    }
    for (Team& team : teams) team.done();
}

void run_each(int64_t count, const std::function<void(int64_t)>& kernel) {
    constexpr uint32_t kThreads = 4;
    std::promise<void> start;
    const std::shared_future<void> started = start.get_future().share();
    std::vector<std::thread> all;
    for (uint32_t thread = 0; thread < kThreads; ++thread) {
        all.emplace_back([=, &kernel] {
            started.wait();
            for (int64_t k = 0; k < count; ++k) {
                const int64_t i = thread % 2 == 0 ? k : count - 1 - k;
                if (mixed(static_cast<uint64_t>(i)) % kThreads == thread) kernel(i);
            }
        });
    }
    start.set_value();
    for (std::thread& one : all) one.join();
}

}  // namespace yolo::cuda
