// Weights of 3x3 convolutions as F(4x4, 3x3) takes them.
#pragma once

#include <cstdint>
#include <vector>

namespace yolo::program {

// Products of a tile for each pair of channels.
constexpr int64_t kWinogradPoints = 36;

// Of weights [target, source, 3, 3]: GgG', computed in float64. `to`: [36][target / (2 lanes)][source][2 lanes], where
// the last panel may have one vector of `lanes`, of which target is a multiple.
void transform_weights(const std::vector<float>& weights, int64_t target, int64_t source, int64_t lanes, float* to);

}  // namespace yolo::program
