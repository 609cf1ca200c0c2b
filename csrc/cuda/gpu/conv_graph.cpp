#include "cuda/gpu/conv_graph.h"

#include <string>
#include <utility>

namespace yolo::cuda::cudnn {
namespace {

constexpr int64_t kAlignment = 16;  // bytes: of every map, see cuda/map.h

// Activations of no number of their own that cuDNN has by the same formula.
constexpr std::pair<const char*, PointwiseMode> kActivations[] = {
    {"SiLU", CUDNN_POINTWISE_SWISH_FWD},      {"ReLU", CUDNN_POINTWISE_RELU_FWD},
    {"Sigmoid", CUDNN_POINTWISE_SIGMOID_FWD}, {"Tanh", CUDNN_POINTWISE_TANH_FWD},
    {"GELU", CUDNN_POINTWISE_GELU_FWD},
};

bool activates(const Epilogue& epilogue) {
    return !epilogue.activation.empty() && epilogue.activation != "Identity";
}

const PointwiseMode* mode_of(const std::string& activation) {
    for (const auto& known : kActivations) {
        if (activation == known.first) return &known.second;
    }
    return nullptr;
}

DataType type_of(Number number) {
    switch (number) {
        case Number::float32: return CUDNN_DATA_FLOAT;
        case Number::bfloat16: return CUDNN_DATA_BFLOAT16;
        case Number::float16: return CUDNN_DATA_HALF;
    }
    throw DeviceError("numbers of no known type");
}

struct Shape {
    std::vector<int64_t> dims, strides;  // [images, channels, height, width], in numbers
};

Shape map_shape(int64_t images, const ConvMap& map, int64_t pitch) {
    return {{images, map.channels, map.height, map.width},
            {map.height * map.width * pitch, 1, map.width * pitch, pitch}};
}

Shape weight_shape(const ConvProblem& p) {
    const int64_t inner = p.source.channels / p.groups;
    return {{p.target.channels, inner, p.kernel[0], p.kernel[1]},
            {p.kernel[0] * p.kernel[1] * inner, 1, p.kernel[1] * inner, inner}};
}

Descriptor tensor(int64_t operand, DataType type, const Shape& shape, bool inside = false) {
    Descriptor made(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    made.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, operand)
        .set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, type)
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kAlignment)
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, shape.dims)
        .set(CUDNN_ATTR_TENSOR_STRIDES, shape.strides)
        .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, inside);
    return std::move(made.finish());
}

Descriptor convolution_of(const ConvProblem& p) {
    const auto list = [](const std::array<int64_t, 2>& pair) { return std::vector<int64_t>(pair.begin(), pair.end()); };
    Descriptor made(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    made.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT)
        .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION)
        .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, int64_t{2})
        .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, list(p.dilation))
        .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, list(p.stride))
        .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, list(p.padding))
        .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, list(padding_behind(p)));
    return std::move(made.finish());
}

// The names of one pass in cuDNN.
struct PassNames {
    DescriptorType type;
    Attribute alpha, beta, convolution, weights, source, target;
};

PassNames names_of(ConvPass pass) {
    switch (pass) {
        case ConvPass::forward:
            return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y};
        case ConvPass::source_gradient:
            return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY};
        case ConvPass::weight_gradient:
            return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY};
    }
    throw DeviceError("a convolution of no known pass");
}

// Builds a graph from its first operation to its last, each of which reads what the one before it wrote.
class Builder {
public:
    Builder(const ConvProblem& problem, ConvPass pass, const Epilogue& epilogue, const Form& form)
        : problem_(problem), pass_(pass), epilogue_(epilogue), form_(form), type_(type_of(problem.number)),
          left_(form.fused ? epilogue.bias + activates(epilogue) + epilogue.residual : 0) {}

    ConvGraph build() && {
        convolve();
        if (form_.fused && epilogue_.bias) {
            const int64_t channels = problem_.target.channels;
            const Shape shape{{1, channels, 1, 1}, {channels, 1, channels, channels}};
            add(CUDNN_POINTWISE_ADD, keep(tensor(kBias, CUDNN_DATA_FLOAT, shape)));
        }
        if (form_.fused && activates(epilogue_)) add(*mode_of(epilogue_.activation), nullptr);
        if (form_.fused && epilogue_.residual) {
            const int64_t given = epilogue_.residual_pitch;
            const Shape shape = map_shape(problem_.images, problem_.target, given > 0 ? given : problem_.target.pitch);
            add(CUDNN_POINTWISE_ADD, keep(tensor(kResidual, type_, shape)));
        }
        Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
        if (Handle handle = Library::get().handle()) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle);
        graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                  static_cast<int64_t>(operations_.size()), operations_.data());
        graph.finish();
        return {std::move(parts_), std::move(graph)};
    }

private:
    // Its cuDNN pointer, which stays where it is when the list grows.
    void* keep(Descriptor descriptor) {
        parts_.push_back(std::move(descriptor));
        return parts_.back().raw();
    }

    Shape map(const ConvMap& end) const {
        return map_shape(problem_.images, end, form_.packed ? end.channels : end.pitch);
    }

    // What an operation of the forward pass writes: the target if it is the last one.
    void* written() {
        const Shape shape = map(problem_.target);
        if (left_ == 0) return keep(tensor(kTarget, type_, shape));
        return keep(tensor(kInside + left_, CUDNN_DATA_FLOAT, shape, true));
    }

    static void refer(Descriptor& descriptor, Attribute name, void* other) {
        descriptor.set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &other);
    }

    void convolve() {
        const bool wide = pass_ == ConvPass::weight_gradient && form_.wide_weights;
        void* const source = keep(tensor(kSource, type_, map(problem_.source)));
        void* const weights =
            keep(tensor(kWeights, wide ? CUDNN_DATA_FLOAT : type_, weight_shape(problem_)));
        last_ = written();
        void* const convolution = keep(convolution_of(problem_));
        const PassNames names = names_of(pass_);
        Descriptor operation(names.type);
        operation.set(names.alpha, 1.0f).set(names.beta, 0.0f);
        refer(operation, names.convolution, convolution);
        refer(operation, names.source, source);
        refer(operation, names.weights, weights);
        refer(operation, names.target, last_);
        operations_.push_back(keep(std::move(operation.finish())));
    }

    // An operation on what the last one wrote, and on `other` where it has two operands.
    void add(PointwiseMode mode, void* other) {
        --left_;
        Descriptor pointwise(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
        pointwise.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, mode)
            .set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT)
            .finish();
        Descriptor operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
        refer(operation, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, keep(std::move(pointwise)));
        refer(operation, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, last_);
        if (other != nullptr) refer(operation, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, other);
        last_ = written();
        refer(operation, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, last_);
        operations_.push_back(keep(std::move(operation.finish())));
    }

    const ConvProblem& problem_;
    ConvPass pass_;
    const Epilogue& epilogue_;
    Form form_;
    DataType type_;
    int left_;  // operations of the epilogue that are still to come
    void* last_ = nullptr;
    std::vector<Descriptor> parts_;
    std::vector<void*> operations_;
};

}  // namespace

bool fusible(const Epilogue& epilogue) {
    if (activates(epilogue) && mode_of(epilogue.activation) == nullptr) return false;
    return epilogue.bias || activates(epilogue) || epilogue.residual;
}

std::vector<int64_t> operands(const Epilogue& epilogue, const Form& form) {
    std::vector<int64_t> all{kSource, kWeights, kTarget};
    if (form.fused && epilogue.bias) all.push_back(kBias);
    if (form.fused && epilogue.residual) all.push_back(kResidual);
    return all;
}

std::array<int64_t, 2> padding_behind(const ConvProblem& p) {
    const std::array<int64_t, 2> sources{p.source.height, p.source.width}, targets{p.target.height, p.target.width};
    std::array<int64_t, 2> behind{};
    for (size_t axis = 0; axis < 2; ++axis) {
        const int64_t seen = (p.kernel[axis] - 1) * p.dilation[axis] + 1, before = p.padding[axis];
        const int64_t room = sources[axis] + before;
        const auto fits = [&](int64_t padding) {
            return padding >= 0 && room + padding >= seen &&
                   (room + padding - seen) / p.stride[axis] + 1 == targets[axis];
        };
        // The least that the last kernel needs, which may be none.
        const int64_t least = (targets[axis] - 1) * p.stride[axis] + seen - room;
        behind[axis] = fits(before) ? before : least > 0 ? least : 0;
        if (!fits(behind[axis])) throw DeviceError("cuDNN: no padding leads to a convolution's target");
    }
    return behind;
}

ConvGraph conv_graph(const ConvProblem& problem, ConvPass pass, const Epilogue& epilogue, const Form& form) {
    return Builder(problem, pass, epilogue, form).build();
}

}  // namespace yolo::cuda::cudnn
