#include "program/cuda/detector.h"

#include <mutex>
#include <stdexcept>
#include <utility>

#include "program/cuda/heads.h"

namespace yolo::program::cuda {
namespace {

ops::cuda::NmsProblem checked(ops::cuda::NmsProblem problem) {
    problem.check();
    return problem;
}

int64_t rows_of(const std::vector<Level>& levels) {
    int64_t rows = 0;
    for (const Level& level : levels) rows += level.height * level.width * static_cast<int64_t>(level.anchors.size() / 2);
    return rows;
}

// Whether the loss is of heads of these shapes.
bool fits_loss(const DetectionLoss& loss, const std::vector<Numbers>& shapes) {
    bool fits = loss.levels() == shapes.size();
    for (size_t i = 0; fits && i < shapes.size(); ++i) {
        fits = bytes_of(shapes[i], 1) == static_cast<size_t>(shapes[i][0] * loss.head_size(i));
    }
    return fits;
}

}  // namespace

DetectorProgram::DetectorProgram(Executor& network, const std::vector<Level>& levels, int64_t classes,
                                 ops::NmsSettings settings, const DetectionLoss* loss, int64_t places)
    : network_(network), problem_(checked({network.plan().images[0], rows_of(levels), classes, std::move(settings), nullptr})),
      images_(bytes_of(network.plan().images, 1)),
      detections_(bytes_of({problem_.images, max_det(), 6}, sizeof(float))),
      counts_(bytes_of({problem_.images}, sizeof(int32_t))), forward_([this](Stream stream) {
          Run run;
          run.stream = stream, run.heads = heads_.data();
          run.images = reinterpret_cast<const uint8_t*>(images_.data());
          network_.forward(run);
          if (loss_) loss_->give(stream);
      }),
      detection_([this](Stream stream) {
          ops::cuda::detect(problem_, levels_, {}, reinterpret_cast<float*>(detections_.data()),
                            reinterpret_cast<int32_t*>(counts_.data()), scratch_, stream);
      }) {
    const std::vector<Numbers>& shapes = network.plan().heads;
    bool fits = shapes.size() == levels.size() && network.plan().values == 0;
    size_t bytes = 0;
    for (size_t i = 0; fits && i < shapes.size(); ++i) {
        const Level& level = levels[i];
        fits = shapes[i] == Numbers{problem_.images, level.channels(classes), level.height, level.width};
        bytes += aligned(bytes_of(shapes[i], sizeof(float)));
        levels_.push_back({nullptr, level.height, level.width, level.stride, level.anchors, level.scale, level.mirror});
    }
    if (!fits) throw std::invalid_argument("the head is another network's");
    if (loss != nullptr && !fits_loss(*loss, shapes)) throw std::invalid_argument("the loss is another network's");
    const std::vector<uint8_t>& wanted = problem_.settings.wanted;
    if (!wanted.empty()) {
        wanted_ = std::make_unique<DeviceBuffer>(wanted.size());
        yolo::cuda::copy_in(wanted_->data(), wanted.data(), wanted.size(), stream_.get());
        yolo::cuda::synchronise(stream_.get());
        problem_.wanted = reinterpret_cast<const uint8_t*>(wanted_->data());
    }
    if (loss != nullptr) loss_ = std::make_unique<BatchLoss>(*loss, problem_.images, places, stream_.get());
    lay_out(bytes);
}

void DetectorProgram::lay_out(size_t head_bytes) {
    const size_t suppression = aligned(ops::cuda::nms_scratch_bytes(problem_));
    memory_ = network_.memory().heads.of(head_bytes + suppression + (loss_ ? loss_->scratch_bytes() : 0));
    std::byte* place = memory_->data();
    for (size_t i = 0; i < levels_.size(); ++i) {
        heads_.push_back(reinterpret_cast<float*>(place));
        levels_[i].head = heads_[i];
        place += aligned(bytes_of(network_.plan().heads[i], sizeof(float)));
    }
    scratch_ = place;
    if (loss_) loss_->place(heads_, {}, place + suppression);
}

void DetectorProgram::compute(const void* const* inputs, void* const* outputs) {
    const std::lock_guard<std::mutex> lock(network_.memory().mutex);
    const Stream stream = stream_.get();
    yolo::cuda::copy_in(images_.data(), inputs[0], images_.bytes(), stream);
    if (loss_) loss_->take(inputs[1], inputs[2], stream);
    forward_.start(stream);
    begun_.set(stream);
    detection_.start(stream);
    ended_.set(stream);
    yolo::cuda::copy_out(outputs[0], detections_.data(), detections_.bytes(), stream);
    yolo::cuda::copy_out(outputs[1], counts_.data(), counts_.bytes(), stream);
    if (loss_) loss_->terms_to(outputs[2], stream);
    yolo::cuda::synchronise(stream);
    nms_seconds_ = begun_.until(ended_);
}

}  // namespace yolo::program::cuda
