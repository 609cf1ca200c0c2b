#include "program/cuda/batch_loss.h"

#include <algorithm>
#include <stdexcept>

namespace yolo::program::cuda {
namespace {

using yolo::cuda::DeviceBuffer;
using yolo::cuda::Stream;

size_t numbers(int64_t count) {
    return static_cast<size_t>(std::max<int64_t>(count, 0));
}

}  // namespace

BatchLoss::BatchLoss(const DetectionLoss& loss, int64_t images, int64_t places, Stream stream)
    : images_(images), places_(places), classes_(loss.classes()), settings_(loss.settings()),
      labels_(numbers(images * places * 5) * sizeof(float)), counts_(numbers(images) * sizeof(int32_t)),
      terms_(loss.levels() * ops::kLossTerms * sizeof(double)), parts_(ops::kLossParts * sizeof(float)) {
    if (places < 0) throw std::invalid_argument("places: expected 0 or more");
    for (size_t i = 0; i < loss.levels(); ++i) {
        const std::vector<float>& sizes = loss.anchors(i);
        anchors_.push_back(std::make_unique<DeviceBuffer>(sizes.size() * sizeof(float)));
        yolo::cuda::copy_in(anchors_[i]->data(), sizes.data(), anchors_[i]->bytes(), stream);
        const Level& level = loss.level(i);
        const auto* const at = reinterpret_cast<const float*>(anchors_[i]->data());
        const ops::Level grid{at, static_cast<int64_t>(sizes.size() / 2), level.height, level.width};
        levels_.push_back({grid, nullptr, nullptr});
    }
    yolo::cuda::synchronise(stream);
}

size_t BatchLoss::scratch_bytes() const {
    return ops::cuda::loss_scratch_bytes(images_, places_, levels_.data(), static_cast<int64_t>(levels_.size()));
}

void BatchLoss::place(const std::vector<float*>& heads, const std::vector<float*>& gradients, std::byte* scratch) {
    for (size_t i = 0; i < levels_.size(); ++i) {
        levels_[i].head = heads[i];
        levels_[i].gradient = gradients.empty() ? nullptr : gradients[i];
    }
    scratch_ = scratch;
}

void BatchLoss::take(const void* labels, const void* counts, Stream stream) const {
    yolo::cuda::copy_in(labels_.data(), labels, labels_.bytes(), stream);
    yolo::cuda::copy_in(counts_.data(), counts, counts_.bytes(), stream);
}

void BatchLoss::give(Stream stream, const ops::Whole& whole, const float* slope_scale) const {
    const ops::Labels labels{reinterpret_cast<const float*>(labels_.data()),
                             reinterpret_cast<const int32_t*>(counts_.data()), images_, places_};
    ops::cuda::detection_loss(labels, levels_.data(), static_cast<int64_t>(levels_.size()), classes_, settings_,
                              reinterpret_cast<double*>(terms_.data()), reinterpret_cast<float*>(parts_.data()),
                              scratch_, stream, whole, slope_scale);
}

void BatchLoss::parts_to(void* to, Stream stream) const {
    yolo::cuda::copy_out(to, parts_.data(), parts_.bytes(), stream);
}

void BatchLoss::terms_to(void* to, Stream stream) const {
    yolo::cuda::copy_out(to, terms_.data(), terms_.bytes(), stream);
}

}  // namespace yolo::program::cuda
