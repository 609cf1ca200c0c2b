// Convolutions with constant weights.
#include "cuda/convolution.h"

#include <memory>
#include <stdexcept>
#include <utility>

#include "program/cuda/builders.h"
#include "program/cuda/conv_shape.h"
#include "program/cuda/epilogue.h"

namespace yolo::program::cuda {
namespace {

using yolo::cuda::Convolution;
using yolo::cuda::ConvOperands;
using yolo::cuda::ConvPass;
using yolo::cuda::Epilogue;

// Transposed: what is an input to the network is the output of the convolution whose gradient it is.
Order weight_order(const ConvShape& shape) {
    const yolo::cuda::ConvProblem& p = shape.problem;
    return {p.groups, p.target.channels / p.groups, p.kernel[0] * p.kernel[1], p.source.channels / p.groups,
            shape.target_channels / p.groups, shape.source_channels / p.groups, shape.transposed};
}

// As pack_weights (yolo/program/inference/constants.py) gives them.
Numbers constant_dims(const ConvShape& shape) {
    const yolo::cuda::ConvProblem& p = shape.problem;
    Numbers dims{shape.target_channels / p.groups, shape.source_channels / p.groups, p.kernel[0], p.kernel[1]};
    if (shape.transposed) std::swap(dims[0], dims[1]);
    if (p.groups > 1) dims.insert(dims.begin(), p.groups);
    return dims;
}

std::shared_ptr<DeviceBuffer> constant(BuildContext& context, const Step& step, const std::string& name, Number number,
                                       const Numbers& dims, const Order& order) {
    if (context.constants == nullptr || !context.constants->has(name, dims)) {
        throw std::invalid_argument(step.where + ": its weights are not there or have another shape");
    }
    return context.constants->on_device(name, number, order);
}

}  // namespace

std::vector<CompiledStep> build_conv(BuildContext& context, const Step& step) {
    const ConvShape shape(context, step);
    const TensorView& to = step.view("target");
    const Map source = context.map(step.view("source")), target = context.map(to);
    const auto residual = step.optional("residual") ? std::make_shared<Map>(context.map(step.view("residual"))) : nullptr;
    const std::string name = step.text("weights"), activation = step.text("activation");
    const auto weights =
        constant(context, step, name + ".weight", context.number, constant_dims(shape), weight_order(shape));
    const auto bias = step.flag("bias") ? constant(context, step, name + ".bias", Number::float32, {to.channels},
                                                   Order::channels(to.channels, target.lanes()))
                                        : nullptr;
    const Epilogue after{bias != nullptr, activation, residual != nullptr, residual ? residual->pitch : 0};
    const ConvPass pass = shape.transposed ? ConvPass::source_gradient : ConvPass::forward;
    const auto convolution = std::make_shared<Convolution>(shape.problem, pass, after);
    Workspace::Frame frame(context.workspace);
    const Workspace::Piece scratch = frame.take(convolution->workspace_bytes());
    // Of a transposed one the step's source is the target whose gradient it is.
    ConvOperands operands{source.data, weights->data(), target.data};
    if (shape.transposed) std::swap(operands.source, operands.target);
    operands.bias = bias ? reinterpret_cast<const float*>(bias->data()) : nullptr;
    operands.residual = residual.get();
    const auto value = static_cast<float>(step.real("value"));
    const int64_t bytes = shape.map_bytes() + static_cast<int64_t>(weights->bytes());
    return {{{"conv", step.where, convolution->implementation(), shape.flops(), bytes}, [=](const Run& run) {
                 convolution->run(operands, scratch.as<void>(), run.stream);
                 if (!convolution->fuses()) {
                     epilogue(target, operands.bias, activation, value, residual.get(), run.stream);
                 } else if (target.channels != target.lanes()) {
                     clear_lanes(target, run.stream);  // f(0) is not 0 for each activation
                 }
                 (void)weights, (void)bias;  // kept
             }}};
}

}  // namespace yolo::program::cuda
