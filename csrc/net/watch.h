// Notices a rank that is gone or silent, and ends the run on all ranks instead of leaving them to wait for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "net/socket.h"

namespace yolo::net {

// A process that may be ended for being stopped, by what the kernel says of it: numbers are given again, with another
// start.
struct Process {
    int number = 0;      // 0: none
    uint64_t start = 0;  // in clock ticks since the machine's
};

// A thread that needs neither Python nor OneFlow: ranks tell rank 0 every second that they live, and it tells them. When
// a rank is lost (its connection closed, or nothing heard for `patience` seconds) or ends with an error, rank 0 says to
// all which one and why; every rank prints that on stderr, with `advice`, and its process ends at once with code 1. A
// stopped process of the same machine is killed, so that none stays behind.
//
// A library that aborts this process (OneFlow does, when it loses another rank) is held up until the thread has said
// which rank is lost; when none is, that is what this one ends with.
class Watch {
public:
    // sockets as in Exchange. people: of every rank what people know it by. near: of every rank its process where this one
    // has found for itself that it may end it; else none. What a peer says names no process.
    Watch(int rank, std::vector<Socket> peers, std::vector<std::string> people, std::vector<Process> near,
          double patience);
    // Without `leave` before, the other ranks take it for a loss.
    ~Watch();
    // Called by the signal's handler: returns when nobody watches any more.
    void hold_up_abort();

    // What to do about it, human-readable: how to resume.
    void advise(const std::string& advice);
    // End all ranks, for that reason, when so many seconds have passed; 0 or fewer: no longer.
    void limit(double seconds, const std::string& reason);
    // Tell all ranks that this one ends because of an error, and end this process.
    [[noreturn]] void end(const std::string& reason);
    // The work is done. Returns when that of all ranks is: until then one that is stopped or dies would keep the others
    // waiting, in OneFlow's end too.
    void leave();

private:
    void loop();
    bool hear(size_t peer);
    void beat();
    void keep_limit();
    // what: of the culprit, human-readable; silent: whether it may be stopped.
    [[noreturn]] void stop_all(int culprit, const std::string& what, bool silent);
    [[noreturn]] void stop(const std::string& line);
    bool send(size_t peer, char kind, const std::string& text);
    std::string name(int rank) const;
    int number(size_t peer) const { return rank_ == 0 ? static_cast<int>(peer) + 1 : 0; }
    void kill_stopped(long rank) const;
    // After an abort: who else is to blame? Nobody, when some seconds have passed.
    void find_culprit();

    int rank_;
    std::vector<Socket> peers_;
    std::vector<std::string> people_;
    std::vector<Process> near_;
    double patience_;
    std::vector<Clock::time_point> heard_;
    std::vector<bool> leaving_, gone_;  // its work is done; it has said its last word
    std::string advice_;
    Clock::time_point limit_ = Clock::time_point::max();
    std::string limit_reason_;
    void (*former_)(int) = nullptr;  // the handler of SIGABRT before
    int stderr_;  // as it was at first: while OneFlow loads, descriptor 2 leads to nowhere
    std::mutex mutex_;  // of what is sent, the advice and the limit
    std::atomic<bool> done_{false};
    std::atomic<size_t> heard_leaving_{0};
    std::atomic<bool> aborted_{false}, unwatched_{false};
    Clock::time_point search_end_ = Clock::time_point::max();
    std::atomic_flag ending_ = ATOMIC_FLAG_INIT;
    std::thread thread_;
};

}  // namespace yolo::net
