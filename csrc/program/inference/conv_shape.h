// What oneDNN wants to know of a convolution's shape.
#pragma once

#include "program/inference/program.h"

namespace yolo::program {

// Padding at the far side, so that the output has the size that the graph says.
inline dnnl::memory::dims far_padding(const View& from, const View& to, const ConvShape& s) {
    const int64_t in[] = {from.height, from.width}, out[] = {to.height, to.width};
    dnnl::memory::dims far(2);
    for (int axis = 0; axis < 2; ++axis) {
        const int64_t reach = s.dilation[axis] * (s.kernel[axis] - 1) + 1;
        far[axis] = s.transposed ? (in[axis] - 1) * s.stride[axis] + reach - s.padding[axis] - out[axis]
                                 : (out[axis] - 1) * s.stride[axis] + reach - in[axis] - s.padding[axis];
    }
    return far;
}

inline dnnl::memory::dims weight_dims(const View& from, const View& to, const ConvShape& s) {
    const int64_t in = from.channels / s.groups, out = to.channels / s.groups;
    dnnl::memory::dims dims{out, in, s.kernel[0], s.kernel[1]};
    if (s.groups > 1) dims.insert(dims.begin(), s.groups);
    return dims;
}

inline double product(const dnnl::memory::dims& dims) {
    double result = 1.0;
    for (const int64_t side : dims) result *= static_cast<double>(side);
    return result;
}

}  // namespace yolo::program
