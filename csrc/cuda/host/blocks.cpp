#include <cstdio>
#include <cstdlib>
#include <memory>

#include "cuda/host/launch.h"
#ifdef YOLO_REAL_THREADS
#include <condition_variable>
#include <mutex>
#else
#include <ucontext.h>
#endif

namespace yolo::cuda {
namespace {

// Counts who has come; all who have not returned let each other pass.
struct Barrier {
    int members = 0, waiting = 0;
    uint64_t turn = 0;

    // Whether the one who comes now, or returns, is the last that was missing.
    bool complete() {
        if (members == 0 || waiting < members) return false;
        waiting = 0;
        ++turn;
        return true;
    }
};

std::vector<Barrier> barriers_of(int threads) {
    std::vector<Barrier> all(static_cast<size_t>(threads / 32) + 1, Barrier{32});
    all.back().members = threads;  // the block's, behind the warps'
    return all;
}

#ifdef YOLO_REAL_THREADS

class Threads final : public BlockState {
public:
    explicit Threads(int threads) : barriers_(barriers_of(threads)) {}
    void sync() override { wait(barriers_.back()); }
    void sync_warp(int warp) override { wait(barriers_[static_cast<size_t>(warp)]); }
    void leave(int thread) {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (Barrier* barrier : {&barriers_.back(), &barriers_[static_cast<size_t>(thread / 32)]}) {
            --barrier->members;
            barrier->complete();
        }
        changed_.notify_all();
    }

private:
    void wait(Barrier& barrier) {
        std::unique_lock<std::mutex> lock(mutex_);
        const uint64_t turn = barrier.turn;
        ++barrier.waiting;
        if (barrier.complete()) {
            changed_.notify_all();
        } else {
            changed_.wait(lock, [&] { return barrier.turn != turn; });
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Barrier> barriers_;
};

#else

// Threads of a block as contexts that hand the processor to one another.
class Fibers final : public BlockState {
public:
    Fibers(int threads, std::byte* stacks)
        : barriers_(barriers_of(threads)), contexts_(static_cast<size_t>(threads)), done_(contexts_.size(), false),
          stacks_(stacks) {}
    void sync() override { wait(barriers_.back()); }
    void sync_warp(int warp) override { wait(barriers_[static_cast<size_t>(warp)]); }

    void run(const std::function<void(int)>& body) {
        body_ = &body;
        for (size_t thread = 0; thread < contexts_.size(); ++thread) {
            ucontext_t& context = contexts_[thread];
            getcontext(&context);
            context.uc_stack.ss_sp = stacks_ + thread * kStack;
            context.uc_stack.ss_size = kStack;
            context.uc_link = nullptr;
            const auto self = reinterpret_cast<uintptr_t>(this);
            makecontext(&context, reinterpret_cast<void (*)()>(&Fibers::enter), 2, static_cast<unsigned>(self >> 32),
                        static_cast<unsigned>(self));
        }
        size_t left = contexts_.size();
        while (left > 0) {
            const uint64_t before = progress_;
            for (current_ = 0; current_ < contexts_.size(); ++current_) {
                if (done_[current_]) continue;
                swapcontext(&scheduler_, &contexts_[current_]);
                left -= done_[current_];
            }
            if (progress_ == before) {
                std::fputs("a kernel's thread waits at a barrier that another one of its block never reaches\n", stderr);
                std::abort();
            }
        }
    }

    static constexpr size_t kStack = 64 * 1024;

private:
    static void enter(unsigned high, unsigned low) {
        auto* const self = reinterpret_cast<Fibers*>(uintptr_t{high} << 32 | low);
        const size_t thread = self->current_;
        (*self->body_)(static_cast<int>(thread));
        self->done_[thread] = true;
        ++self->progress_;
        for (Barrier* barrier : {&self->barriers_.back(), &self->barriers_[thread / 32]}) {
            --barrier->members;
            barrier->complete();
        }
        swapcontext(&self->contexts_[thread], &self->scheduler_);
    }

    void wait(Barrier& barrier) {
        const uint64_t turn = barrier.turn;
        ++barrier.waiting;
        if (barrier.complete()) ++progress_;
        while (barrier.turn == turn) {
            const size_t thread = current_;
            swapcontext(&contexts_[thread], &scheduler_);
        }
        ++progress_;
    }

    std::vector<Barrier> barriers_;
    std::vector<ucontext_t> contexts_;
    std::vector<char> done_;
    std::byte* stacks_;
    ucontext_t scheduler_;
    size_t current_ = 0;
    uint64_t progress_ = 0;
    const std::function<void(int)>* body_ = nullptr;
};

#endif

}  // namespace

void run_blocks(int64_t count, int threads, size_t shared_bytes, const std::function<void(const Block&)>& kernel) {
    const auto prepare = [&](BlockState& state) {
        // What is in shared memory at first is anything: here it is what hides no forgotten initialisation.
        state.shared.resize(shared_bytes / sizeof(std::max_align_t) + 1);
        std::memset(state.shared.data(), 0xff, state.shared.size() * sizeof(std::max_align_t));
        state.slots.resize(static_cast<size_t>(threads));
    };
#ifdef YOLO_REAL_THREADS
    for (int64_t index = 0; index < count; ++index) {
        Threads state(threads);
        prepare(state);
        std::vector<std::thread> all;
        for (int thread = 0; thread < threads; ++thread) {
            all.emplace_back([&, thread] {
                kernel(Block(state, thread, threads, index));
                state.leave(thread);
            });
        }
        for (std::thread& one : all) one.join();
    }
#else
    const std::unique_ptr<std::byte[]> stacks(new std::byte[static_cast<size_t>(threads) * Fibers::kStack]);
    for (int64_t index = 0; index < count; ++index) {
        Fibers state(threads, stacks.get());
        prepare(state);
        state.run([&](int thread) { kernel(Block(state, thread, threads, index)); });
    }
#endif
}

}  // namespace yolo::cuda
