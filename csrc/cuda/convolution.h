// Convolutions of a device: cuDNN's on a GPU (gpu/), plain loops on the host (host/).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "cuda/device.h"
#include "cuda/map.h"

namespace yolo::cuda {

// One end of a convolution: a map without its address.
struct ConvMap {
    int64_t channels, height, width, pitch;
};

// A cross-correlation, as networks have it. Weights are [target channels, kernel height, kernel width, source channels /
// groups], of the maps' numbers; `padding`: before the first row and column; behind the last ones is as much as the
// target's size asks for.
struct ConvProblem {
    Number number;
    int64_t images;
    ConvMap source, target;
    std::array<int64_t, 2> kernel, stride, padding, dilation;
    int64_t groups;

    int64_t weights() const { return target.channels * kernel[0] * kernel[1] * (source.channels / groups); }
};

// forward: writes the target from source and weights. source_gradient: writes the source from target and weights (also
// what a transposed convolution is). weight_gradient: writes the weights, as float32, from source and target.
enum class ConvPass { forward, source_gradient, weight_gradient };

// What a forward pass may do with its sums before it writes them, in this order.
struct Epilogue {
    bool bias = false;
    std::string activation;      // "" or "Identity" for none
    bool residual = false;       // of the target's shape and numbers
    int64_t residual_pitch = 0;  // 0: the target's
};

// Addresses on the device, multiples of 16 bytes.
struct ConvOperands {
    void *source, *weights, *target;
    const float* bias = nullptr;
    const Map* residual = nullptr;
};

// How all convolutions of this process are made from now on.
struct ConvSettings {
    std::string library;                     // the folder of cuDNN's libraries; "": the loader knows
    std::string plans;                       // the folder where algorithms that were found are kept; "": none are
    std::string device;                      // one to make them for, not to run them, as cuDNN describes it; "": the GPU
    bool tf32 = true;                        // float32 maps may be multiplied with 10 bits behind the point
    int timed = 0;                           // of so many algorithms the fastest is taken; 0: the first, untimed
    int64_t workspace = int64_t{256} << 20;  // bytes that one may need at most
};
void configure(const ConvSettings& settings);

// Why there are none on this device, with these settings, in one line; empty where there are.
std::string convolutions_unavailable();

class Convolution {
public:
    // Raises DeviceError where the device has no way to do it.
    Convolution(const ConvProblem& problem, ConvPass pass, const Epilogue& epilogue = {});
    ~Convolution();
    Convolution(Convolution&&) noexcept;
    Convolution& operator=(Convolution&&) noexcept;

    // Whether run() does the epilogue too; else it leaves the sums, and a kernel of the caller's does it.
    bool fuses() const;
    // Of the device, which run() may use meanwhile.
    size_t workspace_bytes() const;
    // The algorithm, human-readable.
    std::string implementation() const;
    void run(const ConvOperands& operands, void* workspace, Stream stream) const;

private:
    struct Made;
    std::unique_ptr<Made> made_;
};

}  // namespace yolo::cuda
