// Which of cuDNN's engines does a convolution.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cuda/convolution.h"
#include "cuda/gpu/conv_graph.h"
#include "cuda/gpu/cudnn.h"

namespace yolo::cuda::cudnn {

struct Algorithm {
    Form form;
    Descriptor plan;
    std::string name;
    std::vector<int64_t> operands;

    int64_t workspace_bytes() const { return plan.number(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE); }
    // `addresses`: of the operands, in their order.
    void run(const std::vector<void*>& addresses, void* workspace, Stream stream) const;
};

// The one that an equal convolution of this process has, else the one that was kept on disk, else one that cuDNN's
// heuristics name. All are deterministic and have sums of float32. Raises DeviceError where there is none.
std::shared_ptr<const Algorithm> algorithm(const ConvProblem& problem, ConvPass pass, const Epilogue& epilogue,
                                           const ConvSettings& settings);

}  // namespace yolo::cuda::cudnn
