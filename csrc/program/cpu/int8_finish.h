// What becomes of the sums of a convolution of bytes, whatever kernels make them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "program/cpu/build_context.h"

namespace yolo::program {

// What the bytes of a map stand for: step * (byte - zero).
struct Scale {
    float step;
    int32_t zero;

    Scale(const Step& of, const std::string& role)
        : step(static_cast<float>(of.real(role + "_step"))), zero(static_cast<int32_t>(of.number(role + "_zero"))) {}
};

class Int8Finish {
public:
    // Of an "int8_conv" step, whose weights' steps and bias are constants. `times`: what the kernels' sums are of the
    // convolution's.
    Int8Finish(BuildContext& context, const Step& step, float times = 1.0f);

    // In each channel, the sum of what is added to the sums: `zero` times the weights, which `sums` are.
    void take_off(const int32_t* sums, int32_t zero);

    // For an image's outputs from `output` on, of channels from the block `block` on.
    ByteFinish at(const ExecContext& exec, int64_t image, int64_t output, int64_t block) const;

private:
    std::vector<float> filled_up(BuildContext& context, const Step& step, const std::string& part) const;

    TensorView target_;
    std::optional<TensorView> residual_;
    int64_t lanes_;
    std::vector<float> scale_, shift_;  // in whole blocks
    std::vector<int32_t> offset_;
    ByteFinish made_{};
};

}  // namespace yolo::program
