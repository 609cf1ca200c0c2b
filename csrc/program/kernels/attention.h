// Attention over the cells of a feature map, and its gradient.
#pragma once

#include <cstdint>

namespace yolo::program {

// Maps are planes of floats [channels, cells]; channels are `heads` groups in a row.
struct AttentionShape {
    int64_t channels, cells, heads;

    int64_t plane() const { return channels * cells; }
};

// Floats of scratch that each thread needs for a forward or a backward pass.
int64_t attention_scratch(const AttentionShape& shape);

// out = v softmax(q^T k / sqrt(channels of a head))^T, head by head (Vaswani et al. 2017).
// `scratch`: attention_scratch() floats for each of `threads` threads.
void attend(const AttentionShape& shape, const float* q, const float* k, const float* v, float* out, float* scratch,
            int threads);

// The gradients of q, k and v from that of `out`; the weights are computed again.
void attend_back(const AttentionShape& shape, const float* q, const float* k, const float* v, const float* grad,
                 float* to_q, float* to_k, float* to_v, float* scratch, int threads);

}  // namespace yolo::program
