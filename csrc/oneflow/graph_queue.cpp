// The queue of running graphs, as OneFlow 0.9.0 meant it.
//
// OneFlow starts a graph's job first and puts the graph into this queue afterwards; the job's end takes it out. A job
// that ends in between takes from an empty queue, which destroys an element that is not there: the heap is corrupted
// and the process crashes, then or later. Jobs of well under a millisecond on a busy machine do it within seconds.
//
// And while a graph runs, OneFlow's scheduler asks in a loop without rest whether it has ended: that takes a core from
// the graph's own threads.
//
// These four functions take the place of OneFlow's own. That library calls them through its procedure linkage table
// and a virtual table, so it is enough that this one is loaded before it with its symbols global (yolo/runtime.py).
// The declarations follow
// oneflow/core/vm/lazy_job_stream_policy.h of OneFlow 0.9.0 (Apache-2.0, The OneFlow Authors).

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <queue>
#include <thread>
#include <unordered_map>

namespace oneflow {

class NNGraphIf;

namespace {

struct Queues {
  std::mutex mutex;
  std::condition_variable changed;
  std::unordered_map<const void*, std::queue<std::weak_ptr<NNGraphIf>>> of;  // by stream
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
  auto& queue = all.of[this];
  if (queue.empty()) return;
  const auto front = queue.front().lock();
  if (!front || front == graph) return;
  all.changed.wait(lock, [&queue] { return queue.empty(); });
}

void LazyJobStreamPolicy::EnqueueNNGraph(const std::shared_ptr<NNGraphIf>& graph) {
  Queues& all = queues();
  {
    std::lock_guard<std::mutex> lock(all.mutex);
    all.of[this].emplace(graph);
  }
  all.changed.notify_all();
}

// Waits for the entry that belongs to the job that has just ended: the starting thread is about to make it.
void LazyJobStreamPolicy::DequeueNNGraph() {
  Queues& all = queues();
  {
    std::unique_lock<std::mutex> lock(all.mutex);
    auto& queue = all.of[this];
    all.changed.wait(lock, [&queue] { return !queue.empty(); });
    queue.pop();
  }
  all.changed.notify_all();
}

// The status begins with a byte that is set when the job has ended (NaiveInstrStatusQuerier). Short jobs are awaited as
// OneFlow does it; a longer one is looked at less and less often, by a thread that sleeps in between: that a job has
// ended is noticed late by a few percent of its time at most.
bool LazyJobStreamPolicy::QueryInstructionStatusDone(const Stream&, const InstructionStatusBuffer& status) const {
  using Clock = std::chrono::steady_clock;
  constexpr auto kShort = std::chrono::microseconds(200), kLongest = std::chrono::microseconds(500);
  thread_local Clock::time_point asked_first{};
  if (__atomic_load_n(reinterpret_cast<const unsigned char*>(&status), __ATOMIC_ACQUIRE) != 0) {
    asked_first = {};
    return true;
  }
  const auto now = Clock::now();
  if (asked_first == Clock::time_point{}) asked_first = now;
  const auto asked_for = std::chrono::duration_cast<std::chrono::microseconds>(now - asked_first);
  if (asked_for > kShort) std::this_thread::sleep_for(std::min(asked_for / 32, kLongest));
  return false;
}

}  // namespace vm
}  // namespace oneflow
