// A block's threads that take turns on one thread of the machine.
#include <setjmp.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "cuda/host/launch.h"

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

// Threads of a block that hand the processor to one another: each has a stack of its own, made once for all blocks.
// Changing stacks is longjmp's: swapcontext asks the kernel each time for a signal mask.
class Fibers final : public BlockState {
public:
    Fibers(int threads, const std::function<void(int)>& body)
        : stacks_(new std::byte[static_cast<size_t>(threads) * kStack]), fibers_(static_cast<size_t>(threads)),
          body_(&body) {}
    void sync() override { wait(barriers_.back()); }
    void sync_warp(int warp) override { wait(barriers_[static_cast<size_t>(warp)]); }

    // body(thread) of all threads, from the beginning.
    void run() {
        barriers_ = barriers_of(static_cast<int>(fibers_.size()));
        for (Fiber& fiber : fibers_) fiber.done = false;
        size_t left = fibers_.size();
        while (left > 0) {
            const uint64_t before = progress_;
            for (current_ = 0; current_ < fibers_.size(); ++current_) {
                if (fibers_[current_].done) continue;
                resume();
                left -= fibers_[current_].done;
            }
            if (progress_ == before) {
                std::fputs("a kernel's thread waits at a barrier that another one of its block never reaches\n", stderr);
                std::abort();
            }
        }
    }

private:
    static constexpr size_t kStack = 64 * 1024;
    struct Fiber {
        jmp_buf place;
        bool begun = false, done = false;
    };

    void resume() {
        if (_setjmp(scheduler_) != 0) return;
        Fiber& fiber = fibers_[current_];
        if (fiber.begun) _longjmp(fiber.place, 1);
        fiber.begun = true;
        ucontext_t context;
        getcontext(&context);
        context.uc_stack.ss_sp = stacks_.get() + current_ * kStack;
        context.uc_stack.ss_size = kStack;
        context.uc_link = nullptr;
        const auto self = reinterpret_cast<uintptr_t>(this);
        makecontext(&context, reinterpret_cast<void (*)()>(&Fibers::enter), 2, static_cast<unsigned>(self >> 32),
                    static_cast<unsigned>(self));
        setcontext(&context);
    }

    void yield(size_t thread) {
        if (_setjmp(fibers_[thread].place) == 0) _longjmp(scheduler_, 1);
    }

    static void enter(unsigned high, unsigned low) {
        auto* const self = reinterpret_cast<Fibers*>(uintptr_t{high} << 32 | low);
        const size_t thread = self->current_;
        for (;;) {  // once a block
            (*self->body_)(static_cast<int>(thread));
            self->leave(thread);
            self->yield(thread);
        }
    }

    void leave(size_t thread) {
        fibers_[thread].done = true;
        ++progress_;
        for (Barrier* barrier : {&barriers_.back(), &barriers_[thread / 32]}) {
            --barrier->members;
            barrier->complete();
        }
    }

    void wait(Barrier& barrier) {
        const uint64_t turn = barrier.turn;
        const size_t thread = current_;
        ++barrier.waiting;
        if (barrier.complete()) ++progress_;
        while (barrier.turn == turn) yield(thread);
        ++progress_;
    }

    const std::unique_ptr<std::byte[]> stacks_;
    std::vector<Fiber> fibers_;
    std::vector<Barrier> barriers_;
    jmp_buf scheduler_;
    size_t current_ = 0;
    uint64_t progress_ = 0;
    const std::function<void(int)>* body_;
};

}  // namespace

void run_blocks(int64_t count, int threads, size_t shared_bytes, const std::function<void(const Block&)>& kernel) {
    if (count <= 0) return;
    int64_t index = 0;
    BlockState* shared = nullptr;
    const std::function<void(int)> body = [&](int thread) { kernel(Block(*shared, thread, threads, index)); };
    const auto fibers = std::make_unique<Fibers>(threads, body);
    shared = fibers.get();
    for (; index < count; ++index) {
        shared->prepare(threads, shared_bytes);
        fibers->run();
    }
}

}  // namespace yolo::cuda
