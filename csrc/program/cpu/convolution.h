// What convolutions of whatever numbers have in common.
#pragma once

#include <string>

#include "program/common/plan.h"
#include "program/cpu/onednn.h"

namespace yolo::program {

// A convolution's attributes, as oneDNN wants them.
struct ConvShape {
    dnnl::memory::dims kernel, stride, padding, far_padding, dilation;  // height, width; dilation: the holes
    int64_t groups;
    bool transposed;
    dnnl::memory::dims weights;  // [groups (of several), out, in, height, width]

    explicit ConvShape(const Step& step);
    // Of one image.
    double flops(const TensorView& source, const TensorView& target) const;
};

}  // namespace yolo::program
