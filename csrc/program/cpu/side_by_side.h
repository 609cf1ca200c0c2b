// A batch whose images go through side by side, each on a thread of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "program/cpu/executor.h"
#include "program/cpu/network.h"

namespace yolo::program {

// Threads that share an image wait for one another at every step; here each takes the next one of the batch.
class SideBySide final : public Network {
public:
    // `lanes`: executors for one image on one thread, with memories of their own, which outlive this. `memory` is for who
    // reads the heads. Raises std::invalid_argument for lanes that differ or are none.
    SideBySide(std::vector<Executor*> lanes, int64_t batch, std::shared_ptr<Memory> memory);

    void run(const void* const* inputs, void* const* outputs) override;
    const Numbers& images() const override { return images_; }
    const std::vector<Numbers>& heads() const override { return heads_; }
    bool infers() const override { return true; }
    Memory& memory() const override { return *memory_; }
    // Of all lanes.
    int64_t memory_bytes() const;
    // Of one lane.
    std::vector<StepInfo> steps() const { return lanes_[0]->steps(); }

private:
    std::vector<Executor*> lanes_;
    std::shared_ptr<Memory> memory_;
    Numbers images_;
    std::vector<Numbers> heads_;
};

}  // namespace yolo::program
