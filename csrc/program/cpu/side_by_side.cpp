#include "program/cpu/side_by_side.h"

#include <cstddef>
#include <stdexcept>
#include <utility>

#include "parallel/team.h"

namespace yolo::program {

SideBySide::SideBySide(std::vector<Executor*> lanes, int64_t batch, std::shared_ptr<Memory> memory)
    : lanes_(std::move(lanes)), memory_(std::move(memory)) {
    if (lanes_.empty() || batch < 1 || !memory_) throw std::invalid_argument("there are no lanes, images or memory");
    images_ = lanes_[0]->images(), heads_ = lanes_[0]->heads();
    for (const Executor* lane : lanes_) {
        const bool same = lane->images() == images_ && lane->heads() == heads_;
        if (!same || lane->images()[0] != 1 || lane->plan().threads != 1 || !lane->infers()) {
            throw std::invalid_argument("lanes take one image of the same shape on one thread");
        }
    }
    images_[0] = batch;
    for (Numbers& head : heads_) head[0] = batch;
}

void SideBySide::run(const void* const* inputs, void* const* outputs) {
    const auto* images = static_cast<const std::byte*>(inputs[0]);
    const auto look = [&](int64_t image, int64_t) {
        std::vector<void*> places;
        for (size_t i = 0; i < heads_.size(); ++i) {
            places.push_back(static_cast<float*>(outputs[i]) + image * numbers_an_image(heads_[i]));
        }
        Executor& lane = *lanes_[static_cast<size_t>(parallel::seat().thread)];
        lane.forward(images + image * numbers_an_image(images_), nullptr, places.data());
    };
    parallel::deal(images_[0], 1, look, static_cast<int64_t>(lanes_.size()));
}

int64_t SideBySide::memory_bytes() const {
    int64_t bytes = 0;
    for (const Executor* lane : lanes_) bytes += lane->memory_bytes();
    return bytes;
}

}  // namespace yolo::program
