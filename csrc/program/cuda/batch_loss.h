// The loss of a batch on a CUDA device: its labels, its sums, and what the operator needs besides the heads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/device.h"
#include "ops/cuda/loss.h"
#include "program/detection/loss.h"

namespace yolo::program::cuda {

class BatchLoss {
public:
    // places: for labels of an image. Raises std::invalid_argument for fewer than none.
    BatchLoss(const DetectionLoss& loss, int64_t images, int64_t places, yolo::cuda::Stream stream);

    size_t scratch_bytes() const;
    // Where the heads are, the gradients (null: none are wanted), and scratch_bytes() more.
    void place(const std::vector<float*>& heads, const std::vector<float*>& gradients, std::byte* scratch);

    // labels float32 [images, places, 5], counts int32 [images], of the host's.
    void take(const void* labels, const void* counts, yolo::cuda::Stream stream) const;
    void give(yolo::cuda::Stream stream, const ops::Whole& whole = {}, const float* slope_scale = nullptr) const;
    // To the host: parts float32 [4]; terms float64 [levels, 5].
    void parts_to(void* to, yolo::cuda::Stream stream) const;
    void terms_to(void* to, yolo::cuda::Stream stream) const;

    int64_t places() const { return places_; }
    size_t levels() const { return levels_.size(); }

private:
    int64_t images_, places_, classes_;
    ops::LossSettings settings_;
    std::vector<std::unique_ptr<yolo::cuda::DeviceBuffer>> anchors_;
    std::vector<ops::LossLevel> levels_;
    yolo::cuda::DeviceBuffer labels_, counts_, terms_, parts_;
    std::byte* scratch_ = nullptr;
};

}  // namespace yolo::program::cuda
