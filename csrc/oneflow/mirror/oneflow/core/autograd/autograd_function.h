// The one name that oneflow/core/framework/op_expr.h takes from a header that OneFlow 0.9.0's wheel leaves out.
// Mirrors oneflow/core/autograd/autograd_function.h (OneFlow 0.9.0, Apache-2.0, The OneFlow Authors).
#pragma once

#include <functional>
#include <memory>

namespace oneflow::one {

class TensorTuple;
class FunctionAutoGradCaptureState;

class AutogradFunctionBase {
public:
    using FType = std::function<std::shared_ptr<TensorTuple>(const std::shared_ptr<FunctionAutoGradCaptureState>&,
                                                             const TensorTuple&)>;
};

}  // namespace oneflow::one
