// ops/update.h on a CUDA device. Nothing here waits or allocates, and what changes from step to step is read on the
// device, so that a recording of the update serves every step.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/device.h"
#include "ops/update.h"

namespace yolo::ops::cuda {

// Dynamic scaling of float16's loss with the rules of PyTorch's GradScaler. It lies on the device: the loss reads
// `scale` there, the update divides the gradient by it and then moves it.
struct LossScale {
    float scale = 65536.0f;
    int32_t steps = 0;    // with finite gradients, since the scale changed last
    int32_t skipped = 0;  // whether the last update left the parameters alone
};

// Of the device, which update_parameters() uses meanwhile.
size_t update_scratch_bytes(const UpdateSizes& sizes);

// As ops::update_parameters(), all addresses on the device, the buffers' aligned to 16 bytes; `norm`: one float, the
// gradient's norm before clipping (and after the division by the loss scale). The sum has one order for a gradient of
// one size. `loss_scale` may be null; with one, a norm that is not finite leaves parameters and moments as they were
// (the average moves and the gradient becomes empty all the same) and halves the scale; after 2000 finite ones in a row
// it is doubled. Adam's corrections are the caller's, who does not know of steps that were left out: they count them.
void update_parameters(Optimizer optimizer, const UpdateBuffers& buffers, const UpdateSizes& sizes,
                       const UpdateRates* rates, float weight_decay, LossScale* loss_scale, float* norm, void* scratch,
                       yolo::cuda::Stream stream);

// Each of `count` numbers by `parts`, so that the sum over as many ranks is their mean.
void divide(float* numbers, int64_t count, int parts, yolo::cuda::Stream stream);

}  // namespace yolo::ops::cuda
