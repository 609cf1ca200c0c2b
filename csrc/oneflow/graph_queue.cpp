// The queue of running graphs, as OneFlow 0.9.0 meant it.
//
// OneFlow starts a graph's job first and puts the graph into this queue afterwards; the job's end takes it out. A job
// that ends in between takes from an empty queue, which destroys an element that is not there: the heap is corrupted
// and the process crashes, then or later. Jobs of well under a millisecond on a busy machine do it within seconds.
//
// And while a graph runs, OneFlow's scheduler asks in a loop without rest whether it has ended: that takes a core from
// the graph's own threads, which then take the cores for shared with others and wait for each other asleep
// (csrc/parallel/waiting.h). Here it sleeps until the graph's end wakes it.
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

struct Graphs {
  std::queue<std::weak_ptr<NNGraphIf>> running;
  int ended = 0;  // that the scheduler has not seen yet
};

struct Queues {
  std::mutex mutex;
  std::condition_variable changed;
  std::unordered_map<const void*, Graphs> of;  // by stream
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
// taken out of the queue. The scheduler looks after other streams too, so it never sleeps for long.
bool LazyJobStreamPolicy::QueryInstructionStatusDone(const Stream&, const InstructionStatusBuffer& status) const {
  constexpr auto kLongest = std::chrono::microseconds(500);
  const auto done = [&status] {
    return __atomic_load_n(reinterpret_cast<const unsigned char*>(&status), __ATOMIC_ACQUIRE) != 0;
  };
  Queues& all = queues();
  std::unique_lock<std::mutex> lock(all.mutex);
  Graphs& graphs = all.of[this];
  if (!done()) {
    if (!all.changed.wait_for(lock, kLongest, [&graphs] { return graphs.ended > 0; })) return false;
    lock.unlock();
    while (!done()) std::this_thread::yield();
    lock.lock();
  }
  graphs.ended = std::max(0, graphs.ended - 1);
  return true;
}

}  // namespace vm
}  // namespace oneflow
