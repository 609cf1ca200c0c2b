#include "net/watch.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

namespace yolo::net {
namespace {

constexpr char kBeat = 'b', kEnd = 'e', kLeave = 'l', kStop = 's';
constexpr size_t kLongestText = 1 << 16;
constexpr double kLongestMessage = 5.0;  // seconds from its first byte to its last
constexpr int kNobody = -1;
constexpr int kTick = 200;  // milliseconds
constexpr auto kBetweenLooks = std::chrono::milliseconds(5);
constexpr auto kBetweenBeats = std::chrono::seconds(1);
// After an abort: who says nothing for so long is to blame; so long another rank may take to be found.
constexpr double kPatienceAfterAbort = 4.0;
constexpr auto kSearch = std::chrono::seconds(6);

std::atomic<Watch*> watching{nullptr};

// As OneFlow notices that another rank has just ended, when all have left: this one's end is near, and has its own code.
constexpr int kBetweenLeavingAndEnd = 5000;  // milliseconds

void on_abort(int number) {
    if (Watch* watch = watching) {
        watch->hold_up_abort();
        poll(nullptr, 0, kBetweenLeavingAndEnd);
    }
    signal(number, SIG_DFL);
    raise(number);
}

// One line: what another rank says goes to a terminal, and may colour nothing and move nothing there.
std::string plain(std::string text) {
    for (char& letter : text) {
        if (static_cast<unsigned char>(letter) < ' ' || letter == 0x7f) letter = ' ';
    }
    return text;
}

std::string seconds(double number) {
    return std::to_string(static_cast<int>(number)) + " s";
}

constexpr int kFieldsBeforeStart = 19;  // proc(5), stat: behind the name, which may hold spaces and brackets

uint64_t start_of(int number) {
    std::ifstream file("/proc/" + std::to_string(number) + "/stat");
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return 0;
    std::istringstream fields(text.substr(name_end + 1));
    std::string skipped;
    for (int field = 0; field < kFieldsBeforeStart; ++field) fields >> skipped;
    uint64_t start = 0;
    fields >> start;
    return fields ? start : 0;
}

// SIGKILL, if it is still that process.
void kill_same(const Process& process) {
    if (process.number > 1 && process.start != 0 && start_of(process.number) == process.start) {
        ::kill(process.number, SIGKILL);
    }
}

}  // namespace

Watch::Watch(int rank, std::vector<Socket> peers, std::vector<std::string> people, std::vector<Process> near,
             double patience)
    : rank_(rank),
      peers_(std::move(peers)),
      people_(std::move(people)),
      near_(std::move(near)),
      patience_(patience),
      heard_(peers_.size(), Clock::now()),
      leaving_(peers_.size(), false),
      gone_(peers_.size(), false),
      stderr_(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) {
    // A rank that takes nothing in must not hold up the thread.
    for (const Socket& peer : peers_) peer.limit(kLongestMessage);
    thread_ = std::thread([this] { loop(); });
    watching = this;
    former_ = signal(SIGABRT, &on_abort);
}

Watch::~Watch() {
    Watch* own = this;
    if (watching.compare_exchange_strong(own, nullptr) && former_ != &on_abort) signal(SIGABRT, former_);
    unwatched_ = done_ = true;
    thread_.join();
    close(stderr_);
}

void Watch::hold_up_abort() {
    aborted_ = true;
    while (!unwatched_) poll(nullptr, 0, kTick);  // the thread ends the process
}

void Watch::advise(const std::string& advice) {
    const std::lock_guard<std::mutex> lock(mutex_);
    advice_ = advice;
}

void Watch::limit(double seconds, const std::string& reason) {
    const std::lock_guard<std::mutex> lock(mutex_);
    limit_ = seconds > 0 ? after(seconds) : Clock::time_point::max();
    limit_reason_ = reason;
}

void Watch::keep_limit() {
    std::string reason;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (Clock::now() < limit_) return;
        reason = limit_reason_;
    }
    end(reason);
}

// Rank 0 waits for all, lets all go, and hears of each that it goes: one that was stopped meanwhile does not.
void Watch::leave() {
    const auto wait = [this](size_t words) {
        while (heard_leaving_ < words) std::this_thread::sleep_for(kBetweenLooks);  // or the thread ends the process
    };
    if (rank_ == 0) {
        wait(peers_.size());
        for (size_t peer = 0; peer < peers_.size(); ++peer) send(peer, kLeave, "");
        wait(2 * peers_.size());
    } else {
        send(0, kLeave, "");
        wait(1);
        send(0, kLeave, "");
    }
    unwatched_ = done_ = true;
}

// Rank 0 passes it on; another rank asks it to.
void Watch::end(const std::string& reason) {
    done_ = true;  // the thread has nothing to add
    if (rank_ == 0) stop_all(0, ": " + reason, false);
    send(0, kEnd, reason);
    stop(name(rank_) + ": " + reason);
}

bool Watch::send(size_t peer, char kind, const std::string& text) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto size = static_cast<uint32_t>(std::min(text.size(), kLongestText));
    std::string message(1, kind);
    message.append(reinterpret_cast<const char*>(&size), sizeof size).append(text, 0, size);
    return peers_[peer].write(message.data(), message.size(), after(kLongestMessage));
}

std::string Watch::name(int rank) const {
    return "rank " + std::to_string(rank) + " (" + people_[static_cast<size_t>(rank)] + ")";
}

void Watch::loop() {
    auto next = Clock::now();
    while (!done_) {
        if (aborted_) find_culprit();
        keep_limit();
        if (Clock::now() >= next) {
            beat();
            next = Clock::now() + kBetweenBeats;
        }
        std::vector<pollfd> waiting;
        for (size_t peer = 0; peer < peers_.size(); ++peer) {
            waiting.push_back({gone_[peer] ? -1 : peers_[peer].get(), POLLIN, 0});  // -1: not looked at
        }
        poll(waiting.data(), waiting.size(), kTick);
        for (size_t peer = 0; peer < peers_.size() && !done_; ++peer) {
            if (gone_[peer]) continue;
            if (waiting[peer].revents != 0) {
                if (!hear(peer) && !done_) stop_all(number(peer), " is gone: its connection closed", false);
            } else if (Clock::now() - heard_[peer] > std::chrono::duration<double>(patience_)) {
                stop_all(number(peer), " has said nothing for " + seconds(patience_) + ": stopped, or cut off", true);
            }
        }
    }
}

void Watch::find_culprit() {
    if (search_end_ == Clock::time_point::max()) {
        search_end_ = Clock::now() + kSearch;
        patience_ = std::min(patience_, kPatienceAfterAbort);
    } else if (Clock::now() > search_end_) {
        end("aborted, for the reason above");
    }
}

void Watch::beat() {
    for (size_t peer = 0; peer < peers_.size(); ++peer) {
        send(peer, kBeat, "");  // a failure is noticed when nothing is heard
    }
}

// One message of a peer; false when it is lost.
bool Watch::hear(size_t peer) {
    char kind = 0;
    uint32_t size = 0;
    const Socket& from = peers_[peer];
    const auto end = after(kLongestMessage);
    if (!from.read(&kind, 1) || !from.read(&size, sizeof size, end) || size > kLongestText) return false;
    std::string text(size, '\0');
    if (!from.read(text.data(), size, end)) return false;
    heard_[peer] = Clock::now();
    if (kind == kLeave) {
        gone_[peer] = rank_ != 0 || leaving_[peer];  // its last word
        leaving_[peer] = true;
        ++heard_leaving_;
    }
    if (kind == kEnd) stop_all(number(peer), ": " + text, false);
    if (kind == kStop && rank_ != 0) {
        const size_t line = text.find('\n');
        kill_stopped(std::strtol(text.c_str(), nullptr, 10));
        stop(text.substr(line + 1));
    }
    return true;
}

// Rank 0 knows all ranks and tells them; another one only knows of rank 0.
void Watch::stop_all(int culprit, const std::string& what, bool silent) {
    const std::string line = name(culprit) + what;
    const int stopped = silent ? culprit : kNobody;
    if (rank_ == 0) {
        for (size_t peer = 0; peer < peers_.size(); ++peer) {
            if (number(peer) != culprit) send(peer, kStop, std::to_string(stopped) + "\n" + line);
        }
    }
    kill_stopped(stopped);
    stop(line);
}

// A stopped process would stay for ever.
void Watch::kill_stopped(long rank) const {
    if (rank >= 0 && static_cast<size_t>(rank) < near_.size()) kill_same(near_[static_cast<size_t>(rank)]);
}

void Watch::stop(const std::string& line) {
    while (ending_.test_and_set()) std::this_thread::sleep_for(std::chrono::seconds(1));  // the other thread does it
    const std::string end = "; rank " + std::to_string(rank_) + " ends, as all ranks do.";
    dprintf(stderr_, "yolo: %s%s%s%s\n", plain(line).c_str(), end.c_str(), advice_.empty() ? "" : " ", advice_.c_str());
    _exit(1);
}

}  // namespace yolo::net
