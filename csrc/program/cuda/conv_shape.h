// A step's convolution as the device takes it.
#pragma once

#include <cstdint>
#include <utility>

#include "cuda/convolution.h"
#include "program/cuda/build_context.h"

namespace yolo::program::cuda {

// problem: of a transposed convolution the one whose source gradient it is. Without groups its channels are whole packs,
// since lanes behind the last channel hold zeros; the real ones are source_channels and target_channels.
struct ConvShape {
    yolo::cuda::ConvProblem problem;
    int64_t source_channels, target_channels;
    bool transposed;

    // Of kinds with the views source and target and the attributes of a convolution.
    ConvShape(const BuildContext& context, const Step& step)
        : ConvShape(context, step, step.view("source"), step.view("target")) {}
    ConvShape(const BuildContext& context, const Step& step, TensorView source, TensorView target)
        : transposed(step.flag("transposed")) {
        if (transposed) std::swap(source, target);
        source_channels = source.channels, target_channels = target.channels;
        const int64_t groups = step.number("groups");
        const auto end = [&](const TensorView& view) {
            const int64_t channels = groups == 1 ? context.map(view).lanes() : view.channels;
            return yolo::cuda::ConvMap{channels, view.height, view.width, view.buffer_channels};
        };
        const auto pair = [&](const char* name) {
            const Numbers& given = step.numbers(name);
            return std::array<int64_t, 2>{given[0], given[1]};
        };
        problem = {context.number, context.plan.batch(), end(source), end(target), pair("kernel"), pair("stride"),
                   pair("padding"), pair("dilation"), groups};
    }

    double flops() const {
        const double pixels = static_cast<double>(problem.images * problem.target.height * problem.target.width);
        return 2.0 * pixels * static_cast<double>(problem.weights());
    }
    int64_t map_bytes() const {
        const auto numbers = [&](const yolo::cuda::ConvMap& map) {
            return problem.images * map.height * map.width * map.channels;
        };
        return (numbers(problem.source) + numbers(problem.target)) *
               static_cast<int64_t>(yolo::cuda::bytes_of(problem.number));
    }
};

}  // namespace yolo::program::cuda
