// Convolutions of training, whose weights lie in the vector of values.
#include <memory>
#include <utility>

#include "program/cuda/builders.h"
#include "program/cuda/conv_shape.h"
#include "program/cuda/epilogue.h"
#include "program/cuda/norm.h"
#include "program/cuda/weights.h"

namespace yolo::program::cuda {
namespace {

using yolo::cuda::Convolution;
using yolo::cuda::ConvOperands;
using yolo::cuda::ConvPass;

// What a forward step and its backward step have in common. The bias's gradient has room for whole packs behind it.
struct Trained {
    ConvShape shape;
    WeightShape weights;
    std::shared_ptr<DeviceBuffer> pieces;
    int64_t bias;  // its place in the vectors, -1 for none

    Trained(const BuildContext& context, const Step& step)
        : shape(context, step),
          weights(shape.target_channels, shape.source_channels, shape.problem.kernel[0] * shape.problem.kernel[1],
                  shape.problem.groups),
          pieces(context.upload(pieces_of(step.numbers("weights")))), bias(step.has("bias") ? step.number("bias") : -1) {}

    const int64_t* rows() const { return reinterpret_cast<const int64_t*>(pieces->data()); }
    StepInfo info(const char* kind, const Step& step, const Convolution& made) const {
        const int64_t bytes = shape.map_bytes() + weights.packed() * 4;
        return {kind, step.where, made.implementation(), shape.flops(), bytes};
    }
};

// Both passes that read weights: from and to are the maps in the order of the pass.
CompiledStep from_weights(BuildContext& context, const std::shared_ptr<Trained>& c, const Step& step, const char* kind,
                          ConvPass pass, const TensorView& from, const TensorView& to) {
    const auto made = std::make_shared<Convolution>(c->shape.problem, pass);
    const Number number = context.number;
    Workspace::Frame frame(context.workspace);
    const Workspace::Piece scratch = frame.take(made->workspace_bytes());
    const Workspace::Piece packed =
        frame.take(static_cast<size_t>(c->weights.packed()) * yolo::cuda::bytes_of(number));
    const Map source = context.map(from), target = context.map(to);
    const bool biased = c->bias >= 0 && pass == ConvPass::forward;
    return {c->info(kind, step, *made), [=](const Run& run) {
                pack_weights(run.values, c->rows(), c->weights, number, packed.as<void>(), run.stream);
                ConvOperands operands{source.data, packed.as<void>(), target.data};
                if (pass == ConvPass::source_gradient) std::swap(operands.source, operands.target);
                made->run(operands, scratch.as<void>(), run.stream);
                if (biased) {
                    epilogue(target, run.values + c->bias, "", 0.0f, nullptr, run.stream);
                } else if (target.channels != target.lanes() && c->shape.problem.groups > 1) {
                    clear_lanes(target, run.stream);
                }
            }};
}

// To the gradients of weights and bias. values: where the source's values lie now.
CompiledStep to_weights(BuildContext& context, const std::shared_ptr<Trained>& c, const Step& step,
                        const TensorView& gradient, const TensorView& values) {
    const auto made = std::make_shared<Convolution>(c->shape.problem, ConvPass::weight_gradient);
    Workspace::Frame frame(context.workspace);
    const Workspace::Piece scratch = frame.take(made->workspace_bytes());
    const Workspace::Piece packed = frame.take(static_cast<size_t>(c->weights.packed()) * sizeof(float));
    const Map source = context.map(c->shape.transposed ? gradient : values);
    const Map target = context.map(c->shape.transposed ? values : gradient);
    const Map all = context.map(gradient);
    const Workspace::Piece sums = frame.take(c->bias >= 0 ? bias_gradient_scratch_bytes(all) : 0);
    return {c->info("conv_weights", step, *made), [=](const Run& run) {
                made->run({source.data, packed.as<void>(), target.data}, scratch.as<void>(), run.stream);
                add_weight_gradient(packed.as<float>(), c->rows(), c->weights, run.gradient, run.stream);
                if (c->bias >= 0) add_bias_gradient(all, run.gradient + c->bias, sums.as<float>(), run.stream);
            }};
}

}  // namespace

std::vector<CompiledStep> build_conv_forward(BuildContext& context, const Step& step) {
    const auto c = std::make_shared<Trained>(context, step);
    context.keep(c);
    const ConvPass pass = c->shape.transposed ? ConvPass::source_gradient : ConvPass::forward;
    return {from_weights(context, c, step, "conv", pass, step.view("source"), step.view("target"))};
}

std::vector<CompiledStep> build_conv_backward(BuildContext& context, const Step& step) {
    const auto c = context.state<Trained>(step);
    const TensorView& gradient = step.view("gradient");
    std::vector<CompiledStep> made{to_weights(context, c, step, gradient, step.view("source"))};
    if (const TensorView* to = step.optional("source_gradient")) {
        const ConvPass pass = c->shape.transposed ? ConvPass::forward : ConvPass::source_gradient;
        made.push_back(from_weights(context, c, step, "conv_data", pass, gradient, *to));
    }
    return made;
}

}  // namespace yolo::program::cuda
