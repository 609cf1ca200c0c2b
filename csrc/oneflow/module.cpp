// The private module yolo._oneflow: loading it adds the operator yolo_run to OneFlow; run() calls it.
//
// Written with Python's C interface: pybind11 shares its internals between modules of one C++ library setting, and
// OneFlow's setting (the old std::string) is not that of the other modules here.
#include "oneflow/dispatch.h"

#include <exception>
#include <string>
#include <vector>

namespace {

using oneflow::AttrMap;
using oneflow::DataType;
using oneflow::Shape;
namespace one = oneflow::one;

// Owns one reference.
struct Reference {
    PyObject* object;

    explicit Reference(PyObject* owned) : object(owned) {}
    ~Reference() { Py_XDECREF(object); }
    Reference(const Reference&) = delete;
    Reference& operator=(const Reference&) = delete;
};

// Thrown when Python's error is set already.
struct PythonError {};

std::vector<int64_t> integers(PyObject* sequence) {
    const Reference fast(PySequence_Fast(sequence, "expected a sequence of integers"));
    if (!fast.object) throw PythonError();
    std::vector<int64_t> values(PySequence_Fast_GET_SIZE(fast.object));
    for (size_t i = 0; i < values.size(); ++i) {
        values[i] = PyLong_AsLongLong(PySequence_Fast_GET_ITEM(fast.object, i));
        if (values[i] == -1 && PyErr_Occurred()) throw PythonError();
    }
    return values;
}

std::vector<Shape> to_shapes(PyObject* sequence) {
    const Reference fast(PySequence_Fast(sequence, "expected a sequence of shapes"));
    if (!fast.object) throw PythonError();
    std::vector<Shape> shapes;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast.object); ++i) {
        const std::vector<int64_t> sizes = integers(PySequence_Fast_GET_ITEM(fast.object, i));
        shapes.emplace_back(oneflow::DimVector(sizes.begin(), sizes.end()));
    }
    return shapes;
}

one::TensorTuple to_tensors(PyObject* sequence) {
    const Reference fast(PySequence_Fast(sequence, "expected a sequence of tensors"));
    if (!fast.object) throw PythonError();
    one::TensorTuple tensors;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast.object); ++i) {
        PyObject* item = PySequence_Fast_GET_ITEM(fast.object, i);
        if (!PyObject_TypeCheck(item, one::PyTensorObject_Type)) {
            PyErr_Format(PyExc_TypeError, "expected a oneflow.Tensor, got %s", Py_TYPE(item)->tp_name);
            throw PythonError();
        }
        tensors.push_back(reinterpret_cast<one::PyTensorObject*>(item)->data);
    }
    return tensors;
}

PyObject* to_tuple(const one::TensorTuple& tensors) {
    PyObject* tuple = PyTuple_New(tensors.size());
    if (!tuple) throw PythonError();
    for (size_t i = 0; i < tensors.size(); ++i) {
        PyObject* tensor = one::PyTensor_New(tensors[i]);
        if (!tensor) {
            Py_DECREF(tuple);
            throw PythonError();
        }
        PyTuple_SET_ITEM(tuple, i, tensor);
    }
    return tuple;
}

// `tensors`: the Runnable's address, then its inputs.
std::shared_ptr<one::TensorTuple> dispatch(const one::TensorTuple& tensors, const std::vector<Shape>& shapes,
                                           const std::vector<int64_t>& dtypes, int64_t mutable_inputs,
                                           const std::string& sbp) {
    one::OpBuilder builder("yolo_run");
    builder.Input("runnable");
    if (tensors.size() > 1) builder.Input("in", tensors.size() - 1);
    if (!shapes.empty()) builder.Output("out", shapes.size());
    std::vector<DataType> types;
    for (const int64_t dtype : dtypes) types.push_back(static_cast<DataType>(dtype));
    builder.Attr<std::vector<Shape>>("shapes", shapes).Attr<std::vector<DataType>>("dtypes", types);
    builder.Attr<int64_t>("mutable_inputs", mutable_inputs).Attr<std::string>("sbp", sbp);
    const auto operation = builder.Build().GetPtrOrThrow();
    return one::OpInterpUtil::Dispatch<one::TensorTuple>(*operation, tensors, AttrMap{}).GetPtrOrThrow();
}

PyObject* run(PyObject*, PyObject* arguments) {
    PyObject *tensors, *shapes, *dtypes;
    long long mutable_inputs;
    const char* sbp;
    if (!PyArg_ParseTuple(arguments, "OOOLs:run", &tensors, &shapes, &dtypes, &mutable_inputs, &sbp)) return nullptr;
    try {
        return to_tuple(*dispatch(to_tensors(tensors), to_shapes(shapes), integers(dtypes), mutable_inputs, sbp));
    } catch (const PythonError&) {
        return nullptr;
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
        return nullptr;
    }
}

PyMethodDef methods[] = {{"run", run, METH_VARARGS,
                          "run(tensors, shapes, dtypes, mutable_inputs, sbp) -> tuple of oneflow.Tensor\n\n"
                          "tensors: int64 [1] (a Runnable's address), then the inputs, the mutable ones last; dtypes: "
                          "OneFlow's numbers for them; sbp: a letter (B, S or P) for each input and output. Raises TypeError "
                          "or RuntimeError."},
                         {nullptr, nullptr, 0, nullptr}};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_oneflow", "The operator yolo_run.", -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__oneflow() {
    PyObject* module = PyModule_Create(&definition);
    if (module && PyModule_AddStringConstant(module, "oneflow_version", YOLO_ONEFLOW_VERSION) != 0) {
        Py_DECREF(module);
        return nullptr;
    }
    return module;
}
