#include "program/detection/detector.h"

#include <mutex>
#include <stdexcept>

namespace yolo::program {

DetectorProgram::DetectorProgram(Network& network, DetectionHead& head) : network_(network), head_(head) {
    const std::vector<Numbers>& shapes = network.heads();
    bool fits = shapes.size() == head.levels().size() && head.places() == 0 && network.infers();
    for (size_t i = 0; fits && i < shapes.size(); ++i) {
        const Level& level = head.levels()[i];
        fits = shapes[i] == Numbers{head.batch(), level.channels(head.classes()), level.height, level.width};
    }
    if (!fits) throw std::invalid_argument("the head is another network's");
    starts_.push_back(0);
    for (const Level& level : head.levels()) {
        starts_.push_back(starts_.back() + static_cast<size_t>(head.batch() * level.numbers(head.classes())) * sizeof(float));
    }
}

void DetectorProgram::run(const void* const* inputs, void* const* outputs) {
    Memory& memory = network_.memory();
    const std::lock_guard<std::mutex> lock(memory.step);
    const auto place = memory.heads.of(starts_.back());
    std::vector<void*> heads;
    for (size_t i = 0; i + 1 < starts_.size(); ++i) heads.push_back(place->data() + starts_[i]);
    network_.run(inputs, heads.data());
    const std::vector<const void*> found(heads.begin(), heads.end());
    head_.run(found.data(), outputs);
}

}  // namespace yolo::program
