// The queue of running graphs, as OneFlow 0.9.0 meant it.
//
// OneFlow starts a graph's job first and puts the graph into this queue afterwards; the job's end takes it out. A job
// that ends in between takes from an empty queue, which destroys an element that is not there: the heap is corrupted
// and the process crashes, then or later. Jobs of well under a millisecond on a busy machine do it within seconds.
//
// And while a graph runs, OneFlow's scheduler asks in a loop without rest whether it has ended: that takes a core from
// the graph's own threads, which then take the cores for shared with others and wait for each other asleep
// (csrc/parallel/waiting.h). Here it sleeps until the graph's end or a new instruction wakes it.
//
// These five functions take the place of OneFlow's own. That library calls them through its procedure linkage table
// and a virtual table, so it is enough that this one is loaded before it with its symbols global (yolo/runtime.py).
// The declarations follow oneflow/core/vm/lazy_job_stream_policy.h and oneflow/core/common/notifier.h of OneFlow 0.9.0
// (Apache-2.0, The OneFlow Authors).

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <queue>
#include <thread>
#include <unordered_map>

namespace oneflow {

class NNGraphIf;

namespace {

// How long the scheduler sleeps beside a running graph. Work on other streams may end meanwhile, which it has to find
// out by itself: it looks soon after it was given some, then ever less often. Looking takes 40 us of a core.
constexpr std::chrono::microseconds kFirstSleep(500), kLongestSleep(8000);

struct Graphs {
  std::queue<std::weak_ptr<NNGraphIf>> running;
  int ended = 0;  // that the scheduler has not seen yet
  uint64_t notices = 0;  // that it has seen
  std::chrono::microseconds sleep = kFirstSleep;
};

struct Queues {
  std::mutex mutex;
  std::condition_variable changed;
  std::unordered_map<const void*, Graphs> of;  // by stream
  uint64_t notices = 0;  // that threads have got something to do, the scheduler among them
};

// Never destroyed: OneFlow's threads outlive this library's static objects.
Queues& queues() {
  static auto* all = new Queues;
  return *all;
}

}  // namespace

namespace vm {

class Stream;
class InstructionStatusBuffer;

class LazyJobStreamPolicy {
 public:
  void WaitUntilQueueEmptyIfFrontNNGraphNotEquals(const std::shared_ptr<NNGraphIf>& graph);
  void EnqueueNNGraph(const std::shared_ptr<NNGraphIf>& graph);
  void DequeueNNGraph();
  bool QueryInstructionStatusDone(const Stream& stream, const InstructionStatusBuffer& status) const;
};

// Different graphs do not run at the same time; calls of one graph may follow each other closely.
void LazyJobStreamPolicy::WaitUntilQueueEmptyIfFrontNNGraphNotEquals(const std::shared_ptr<NNGraphIf>& graph) {
  Queues& all = queues();
  std::unique_lock<std::mutex> lock(all.mutex);
  auto& queue = all.of[this].running;
  if (queue.empty()) return;
  const auto front = queue.front().lock();
  if (!front || front == graph) return;
  all.changed.wait(lock, [&queue] { return queue.empty(); });
}

void LazyJobStreamPolicy::EnqueueNNGraph(const std::shared_ptr<NNGraphIf>& graph) {
  Queues& all = queues();
  {
    std::lock_guard<std::mutex> lock(all.mutex);
    all.of[this].running.emplace(graph);
  }
  all.changed.notify_all();
}

// Waits for the entry that belongs to the job that has just ended: the starting thread is about to make it.
void LazyJobStreamPolicy::DequeueNNGraph() {
  Queues& all = queues();
  {
    std::unique_lock<std::mutex> lock(all.mutex);
    Graphs& graphs = all.of[this];
    all.changed.wait(lock, [&graphs] { return !graphs.running.empty(); });
    graphs.running.pop();
    ++graphs.ended;
  }
  all.changed.notify_all();
}

// The status begins with a byte that is set when the job has ended (NaiveInstrStatusQuerier), right after its entry was
// taken out of the queue.
bool LazyJobStreamPolicy::QueryInstructionStatusDone(const Stream&, const InstructionStatusBuffer& status) const {
  const auto done = [&status] {
    return __atomic_load_n(reinterpret_cast<const unsigned char*>(&status), __ATOMIC_ACQUIRE) != 0;
  };
  Queues& all = queues();
  std::unique_lock<std::mutex> lock(all.mutex);
  Graphs& graphs = all.of[this];
  if (!done()) {
    all.changed.wait_for(lock, graphs.sleep,
                         [&all, &graphs] { return graphs.ended > 0 || graphs.notices != all.notices; });
    graphs.sleep = graphs.notices == all.notices ? std::min(2 * graphs.sleep, kLongestSleep) : kFirstSleep;
    graphs.notices = all.notices;
    if (graphs.ended == 0) return false;
    lock.unlock();
    while (!done()) std::this_thread::yield();
    lock.lock();
  }
  graphs.ended = std::max(0, graphs.ended - 1);
  graphs.sleep = kFirstSleep;
  return true;
}

}  // namespace vm

enum NotifierStatus { kNotifierStatusSuccess = 0, kNotifierStatusErrorClosed };

// How a thread of OneFlow is told that it has something to do.
class Notifier {
 public:
  NotifierStatus Notify();

 private:
  size_t notified_cnt_;
  std::mutex mutex_;
  bool is_closed_;
  std::condition_variable cond_;
};

// OneFlow's, and wakes the scheduler beside a running graph: the thread that is told may be the scheduler.
NotifierStatus Notifier::Notify() {
  bool first;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_closed_) return kNotifierStatusErrorClosed;
    first = notified_cnt_++ == 0;
  }
  if (first) cond_.notify_one();
  Queues& all = queues();
  {
    const std::lock_guard<std::mutex> lock(all.mutex);
    ++all.notices;
  }
  all.changed.notify_all();
  return kNotifierStatusSuccess;
}
}  // namespace oneflow
