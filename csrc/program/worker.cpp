#include "program/worker.h"

#include <condition_variable>
#include <deque>
#include <exception>
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
    Worker() {
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

// Never destroyed: its thread lives as long as the process.
Worker& worker() {
    static auto* one = new Worker;
    return *one;
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
