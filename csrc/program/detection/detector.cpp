#include "program/detection/detector.h"

#include <stdexcept>

namespace yolo::program {

DetectorProgram::DetectorProgram(InferenceProgram& network, DetectionHead& head) : network_(network), head_(head) {
    const std::vector<View>& views = network.output_views();
    bool fits = views.size() == head.levels().size() && network.batch() == head.batch() && head.places() == 0;
    for (size_t i = 0; fits && i < views.size(); ++i) {
        const Level& level = head.levels()[i];
        const auto channels = static_cast<int64_t>(level.anchors.size() / 2) * head.columns();
        fits = views[i].channels == channels && views[i].height == level.height && views[i].width == level.width;
    }
    if (!fits) throw std::invalid_argument("the head is another network's");
    for (const View& view : views) {
        heads_.emplace_back(static_cast<size_t>(network.batch() * view.channels * view.pixels()) * sizeof(float));
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
