#include "program/cuda/detector.h"

#include <mutex>
#include <stdexcept>
#include <utility>

namespace yolo::program::cuda {
namespace {

size_t bytes_of(const Numbers& shape, size_t element) {
    size_t bytes = element;
    for (const int64_t side : shape) bytes *= static_cast<size_t>(side);
    return bytes;
}

ops::cuda::NmsProblem checked(ops::cuda::NmsProblem problem) {
    problem.check();
    return problem;
}

int64_t rows_of(const std::vector<Level>& levels) {
    int64_t rows = 0;
    for (const Level& level : levels) rows += level.height * level.width * static_cast<int64_t>(level.anchors.size() / 2);
    return rows;
}

}  // namespace

DetectorProgram::DetectorProgram(Executor& network, const std::vector<Level>& levels, int64_t classes,
                                 ops::NmsSettings settings)
    : network_(network), problem_(checked({network.plan().images[0], rows_of(levels), classes, std::move(settings), nullptr})),
      images_(bytes_of(network.plan().images, 1)),
      detections_(bytes_of({problem_.images, max_det(), 6}, sizeof(float))),
      counts_(bytes_of({problem_.images}, sizeof(int32_t))), work_([this](Stream stream) {
          Run run;
          run.stream = stream, run.heads = heads_.data();
          run.images = reinterpret_cast<const uint8_t*>(images_.data());
          network_.forward(run);
          ops::cuda::detect(problem_, levels_, {}, reinterpret_cast<float*>(detections_.data()),
                            reinterpret_cast<int32_t*>(counts_.data()), scratch_, stream);
      }) {
    const std::vector<Numbers>& shapes = network.plan().heads;
    bool fits = shapes.size() == levels.size() && network.plan().values == 0;
    size_t bytes = 0;
    for (size_t i = 0; fits && i < shapes.size(); ++i) {
        const Level& level = levels[i];
        fits = shapes[i] == Numbers{problem_.images, level.channels(classes), level.height, level.width};
        bytes += (bytes_of(shapes[i], sizeof(float)) + 255) / 256 * 256;
    }
    if (!fits) throw std::invalid_argument("the head is another network's");
    const std::vector<uint8_t>& wanted = problem_.settings.wanted;
    if (!wanted.empty()) {
        wanted_ = std::make_unique<DeviceBuffer>(wanted.size());
        yolo::cuda::copy_in(wanted_->data(), wanted.data(), wanted.size(), stream_.get());
        yolo::cuda::synchronise(stream_.get());
        problem_.wanted = reinterpret_cast<const uint8_t*>(wanted_->data());
    }
    memory_ = network.memory().heads.of(bytes + ops::cuda::nms_scratch_bytes(problem_));
    std::byte* place = memory_->data();
    for (size_t i = 0; i < shapes.size(); ++i) {
        const Level& level = levels[i];
        heads_.push_back(reinterpret_cast<float*>(place));
        levels_.push_back({heads_[i], level.height, level.width, level.stride, level.anchors, level.scale, level.mirror});
        place += (bytes_of(shapes[i], sizeof(float)) + 255) / 256 * 256;
    }
    scratch_ = place;
}

void DetectorProgram::compute(const void* const* inputs, void* const* outputs) {
    const std::lock_guard<std::mutex> lock(network_.memory().mutex);
    yolo::cuda::copy_in(images_.data(), inputs[0], images_.bytes(), stream_.get());
    work_.start(stream_.get());
    yolo::cuda::copy_out(outputs[0], detections_.data(), detections_.bytes(), stream_.get());
    yolo::cuda::copy_out(outputs[1], counts_.data(), counts_.bytes(), stream_.get());
    yolo::cuda::synchronise(stream_.get());
}

}  // namespace yolo::program::cuda
