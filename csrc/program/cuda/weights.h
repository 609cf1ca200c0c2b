// Weights of convolutions between the vectors of values and gradients and the order in which convolutions take them.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/device.h"
#include "cuda/map.h"

namespace yolo::program::cuda {

// Weights [out, in, taps] of float32, with `in` channels a group and kernel height * width taps, in pieces that follow
// one another; as convolutions take them, [out_lanes, taps, in_lanes].
struct WeightShape {
    int64_t out, in, taps, out_lanes, in_lanes;

    // Channels are filled up to packs where there is one group, and are not where there are several.
    WeightShape(int64_t out_channels, int64_t in_channels, int64_t kernel_taps, int64_t groups)
        : out(out_channels), in(in_channels / groups), taps(kernel_taps), out_lanes(groups == 1 ? whole(out) : out),
          in_lanes(groups == 1 ? whole(in) : in) {}
    int64_t packed() const { return out_lanes * taps * in_lanes; }

private:
    static int64_t whole(int64_t channels) {
        return (channels + yolo::cuda::kPack - 1) / yolo::cuda::kPack * yolo::cuda::kPack;
    }
};

// Pieces as the kernels take them (`pieces`, on the device), of pairs of offset and count, the attribute `weights` of
// steps: for each piece the number of the weight behind its last one, and what a weight's number and its place in the
// vector differ by.
std::vector<int64_t> pieces_of(const std::vector<int64_t>& pairs);

// packed = the weights as numbers of this type; zeros where a channel is filled up.
void pack_weights(const float* values, const int64_t* pieces, const WeightShape& shape, yolo::cuda::Number number,
                  void* packed, yolo::cuda::Stream stream);

// gradient += packed, float32, where each weight is.
void add_weight_gradient(const float* packed, const int64_t* pieces, const WeightShape& shape, float* gradient,
                         yolo::cuda::Stream stream);

}  // namespace yolo::program::cuda
