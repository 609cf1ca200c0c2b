#include "program/worker.h"

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

namespace yolo::program {

namespace {

struct Job {
    const std::function<void()>* work;
    std::exception_ptr failure;
    bool done = false;
};

class Worker {
public:
    void start() {
        std::thread([this] { loop(); }).detach();
    }

    void run(const std::function<void()>& work) {
        Job job{&work, nullptr};
        std::unique_lock<std::mutex> lock(mutex_);
        jobs_.push_back(&job);
        arrived_.notify_one();
        ended_.wait(lock, [&job] { return job.done; });
        if (job.failure) std::rethrow_exception(job.failure);
    }

    std::thread::id id() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return id_;
    }

private:
    void loop() {
        std::unique_lock<std::mutex> lock(mutex_);
        id_ = std::this_thread::get_id();
        for (;;) {
            arrived_.wait(lock, [this] { return !jobs_.empty(); });
            Job* job = jobs_.front();
            jobs_.pop_front();
            lock.unlock();
            try {
                (*job->work)();
            } catch (...) {
                job->failure = std::current_exception();
            }
            lock.lock();
            job->done = true;
            ended_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable arrived_, ended_;
    std::deque<Job*> jobs_;
    std::thread::id id_;
};

// Never destroyed: its thread lives as long as the process. A fork's child has no other thread than the one that forked,
// so it gets a worker of its own, and that a team of its own; only when it needs one, as most children run other programs.
std::atomic<Worker*> current{nullptr};

Worker& worker() {
    static const int watched = pthread_atfork(nullptr, nullptr, [] { current = nullptr; });
    static_cast<void>(watched);
    Worker* one = current;
    if (one != nullptr) return *one;
    auto made = std::make_unique<Worker>();
    if (!current.compare_exchange_strong(one, made.get())) return *one;  // another thread was quicker
    made->start();
    return *made.release();
}

}  // namespace

void run_on_worker(const std::function<void()>& work) {
    if (std::this_thread::get_id() == worker().id()) {
        work();  // a program inside a program
    } else {
        worker().run(work);
    }
}

}  // namespace yolo::program
