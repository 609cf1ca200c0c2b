#include "program/detection/detector.h"

#include <stdexcept>

namespace yolo::program {

DetectorProgram::DetectorProgram(Executor& network, DetectionHead& head) : network_(network), head_(head) {
    const std::vector<Numbers>& shapes = network.plan().heads;
    bool fits = shapes.size() == head.levels().size() && head.places() == 0 && network.plan().values == 0;
    for (size_t i = 0; fits && i < shapes.size(); ++i) {
        const Level& level = head.levels()[i];
        fits = shapes[i] == Numbers{head.batch(), level.channels(head.classes()), level.height, level.width};
    }
    if (!fits) throw std::invalid_argument("the head is another network's");
    for (const Level& level : head.levels()) {
        heads_.emplace_back(static_cast<size_t>(head.batch() * level.numbers(head.classes())) * sizeof(float));
    }
}

void DetectorProgram::run(const void* const* inputs, void* const* outputs) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<void*> heads;
    for (const Buffer& buffer : heads_) heads.push_back(buffer.data());
    network_.run(inputs, heads.data());
    const std::vector<const void*> found(heads.begin(), heads.end());
    head_.run(found.data(), outputs);
}

}  // namespace yolo::program
