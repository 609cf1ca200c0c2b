// What it takes to call an operator on Python's tensors, eagerly or while a graph is traced.
//
// OneFlow 0.9.0's wheel holds the code of all this but not the headers that declare it. The declarations mirror
// oneflow/core/framework/op_interpreter/op_interpreter_util.h and oneflow/api/python/framework/tensor.h (OneFlow 0.9.0,
// Apache-2.0, The OneFlow Authors); they hold for that version only, which CMakeLists.txt and yolo/runtime.py check.
#pragma once

#include <Python.h>

#include <memory>

#include "oneflow/core/framework/attr_map.h"
#include "oneflow/core/framework/op_builder.h"
#include "oneflow/core/framework/op_expr.h"
#include "oneflow/core/framework/tensor_tuple.h"

namespace oneflow::one {

class OpInterpUtil {
public:
    template <typename T>
    static Maybe<T> Dispatch(const OpExpr& op, const TensorTuple& inputs, const AttrMap& attributes);
};

// A Python oneflow.Tensor starts with these fields.
struct PyTensorObject {
    PyObject_HEAD;
    std::shared_ptr<Tensor> data;
};
extern PyTypeObject* PyTensorObject_Type;
PyObject* PyTensor_New(const std::shared_ptr<Tensor>& tensor);

}  // namespace oneflow::one
