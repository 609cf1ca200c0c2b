// A convolution as an operation graph of cuDNN's.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cuda/convolution.h"
#include "cuda/gpu/cudnn.h"

namespace yolo::cuda::cudnn {

// Which memory a tensor of the graph is.
enum Operand : int64_t { kSource = 1, kWeights, kTarget, kBias, kResidual, kInside };

// How a convolution is asked for: some ways have no engine, others are slower.
struct Form {
    bool fused = false;         // with its epilogue
    bool packed = false;        // maps without gaps between their pixels, which are copied before and after
    bool wide_weights = false;  // a gradient of weights leaves cuDNN as float32, not as the maps' numbers
};

struct ConvGraph {
    std::vector<Descriptor> parts;  // which the graph refers to
    Descriptor graph;
};

// Whether cuDNN can do such an epilogue at all.
bool fusible(const Epilogue& epilogue);

// The operands of such a graph.
std::vector<int64_t> operands(const Epilogue& epilogue, const Form& form);

// Padding behind the last row and column: as much as before the first ones wherever that leads to the target's size,
// since most engines ask for it. Raises DeviceError where no padding does.
std::array<int64_t, 2> padding_behind(const ConvProblem& problem);

// Raises Refusal.
ConvGraph conv_graph(const ConvProblem& problem, ConvPass pass, const Epilogue& epilogue, const Form& form);

}  // namespace yolo::cuda::cudnn
