#include "cuda/gpu/candidate_times.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "cuda/gpu/algorithms.h"
#include "cuda/gpu/runtime.h"

namespace yolo::cuda::cudnn {
namespace {

constexpr int kRuns = 5;

class Event {
public:
    Event() { check(cudaEventCreate(&event_), "making an event"); }
    ~Event() { cudaEventDestroy(event_); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    void record(Stream stream) const { check(cudaEventRecord(event_, stream), "recording an event"); }
    // Milliseconds since another one, which both are over.
    float since(const Event& other) const {
        float milliseconds = 0;
        check(cudaEventElapsedTime(&milliseconds, other.event_, event_), "reading an event");
        return milliseconds;
    }

private:
    cudaEvent_t event_ = nullptr;
};

// Memory for each operand that an algorithm has, however it takes them.
class Operands {
public:
    Operands(const ConvProblem& p, const Epilogue& epilogue) {
        const auto map = [&](const ConvMap& end, int64_t pitch) {
            return static_cast<size_t>(p.images * end.height * end.width * pitch) * bytes_of(p.number);
        };
        take(map(p.source, p.source.pitch));
        take(static_cast<size_t>(p.weights()) * sizeof(float));
        take(map(p.target, p.target.pitch));
        take(epilogue.bias ? static_cast<size_t>(p.target.channels) * sizeof(float) : 0);
        take(epilogue.residual ? map(p.target, std::max(p.target.pitch, epilogue.residual_pitch)) : 0);
    }
    std::vector<void*> of(const Algorithm& candidate) const {
        std::vector<void*> addresses;
        for (const int64_t operand : candidate.operands) {
            addresses.push_back(buffers_[static_cast<size_t>(operand - kSource)]->data());
        }
        return addresses;
    }

private:
    void take(size_t bytes) { buffers_.push_back(std::make_unique<DeviceBuffer>(bytes)); }
    std::vector<std::unique_ptr<DeviceBuffer>> buffers_;  // in the order of Operand
};

float milliseconds(const Algorithm& candidate, const std::vector<void*>& addresses, Stream stream) {
    const DeviceBuffer workspace(static_cast<size_t>(candidate.workspace_bytes()));
    const Event begin, end;
    candidate.run(addresses, workspace.data(), stream);  // loads its kernels
    begin.record(stream);
    for (int run = 0; run < kRuns; ++run) candidate.run(addresses, workspace.data(), stream);
    end.record(stream);
    synchronise(stream);
    return end.since(begin);
}

}  // namespace

size_t fastest(const std::vector<Algorithm>& candidates, const ConvProblem& problem, const Epilogue& epilogue) {
    if (candidates.size() == 1) return 0;
    size_t best = 0;
    float shortest = std::numeric_limits<float>::max();
    try {
        const Operands operands(problem, epilogue);
        const OwnStream stream;
        for (size_t i = 0; i < candidates.size(); ++i) {
            try {
                const float time = milliseconds(candidates[i], operands.of(candidates[i]), stream.get());
                if (time < shortest) shortest = time, best = i;
            } catch (const Refusal&) {  // another one will do
            }
        }
    } catch (const OutOfMemoryError&) {  // the best of those that there was room for
    }
    return best;
}

}  // namespace yolo::cuda::cudnn
