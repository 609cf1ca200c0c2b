#include "program/cuda/heads.h"

#include <mutex>
#include <stdexcept>

namespace yolo::program::cuda {

size_t bytes_of(const Numbers& shape, size_t element) {
    size_t bytes = element;
    for (const int64_t side : shape) bytes *= static_cast<size_t>(side);
    return bytes;
}

size_t aligned(size_t bytes) {
    constexpr size_t kAlignment = 256;
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

HeadsProgram::HeadsProgram(Executor& network)
    : network_(network), images_(bytes_of(network.plan().images, 1)), work_([this](Stream stream) {
          Run run;
          run.stream = stream, run.heads = heads_.data();
          run.images = reinterpret_cast<const uint8_t*>(images_.data());
          network_.forward(run);
      }) {
    if (network.plan().values != 0) throw std::invalid_argument("the network is one in training");
    size_t bytes = 0;
    for (const Numbers& shape : network.plan().heads) bytes += aligned(bytes_of(shape, sizeof(float)));
    memory_ = network.memory().heads.of(bytes);
    std::byte* place = memory_->data();
    for (const Numbers& shape : network.plan().heads) {
        heads_.push_back(reinterpret_cast<float*>(place));
        place += aligned(bytes_of(shape, sizeof(float)));
    }
}

void HeadsProgram::compute(const void* const* inputs, void* const* outputs) {
    const std::lock_guard<std::mutex> lock(network_.memory().mutex);
    yolo::cuda::copy_in(images_.data(), inputs[0], images_.bytes(), stream_.get());
    work_.start(stream_.get());
    const std::vector<Numbers>& shapes = network_.plan().heads;
    for (size_t i = 0; i < shapes.size(); ++i) {
        yolo::cuda::copy_out(outputs[i], heads_[i], bytes_of(shapes[i], sizeof(float)), stream_.get());
    }
    yolo::cuda::synchronise(stream_.get());
}

}  // namespace yolo::program::cuda
