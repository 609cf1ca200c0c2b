#include <pybind11/numpy.h>

#include <string>

#include "bindings.h"
#include "ops/iou.h"

namespace yolo {
namespace {

namespace py = pybind11;

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast | py::detail::npy_api::NPY_ARRAY_ALIGNED_>;

py::value_error bad(const std::string& name, const std::string& expected, const std::string& got) {
    return py::value_error(name + ": expected " + expected + ", got " + got);
}

std::string shape_text(const py::array& array) {
    std::string text = "shape [";
    for (py::ssize_t i = 0; i < array.ndim(); ++i) text += (i ? ", " : "") + std::to_string(array.shape(i));
    return text + "]";
}

// Copies only what is not float32 and C-contiguous already. `rows`: what their number is called.
Floats boxes(const py::object& value, const std::string& name, const std::string& rows) {
    const std::string expected = "float32 boxes of shape [" + rows + ", 4]";
    const py::array raw = py::array::ensure(value);
    if (!raw) throw bad(name, expected, "something that is no array");
    const char kind = raw.dtype().kind();
    if (kind != 'f' && kind != 'i' && kind != 'u') {
        throw bad(name, expected, "dtype " + py::str(raw.dtype()).cast<std::string>());
    }
    if (raw.ndim() != 2 || raw.shape(1) != 4) throw bad(name, expected, shape_text(raw));
    return Floats(raw);
}

py::array_t<float> pairwise_iou(const py::object& a, const py::object& b) {
    const Floats first = boxes(a, "a", "n"), second = boxes(b, "b", "m");
    const int64_t n = first.shape(0), m = second.shape(0);
    py::array_t<float> result({n, m});
    const float *in_a = first.data(), *in_b = second.data();
    float* out = result.mutable_data();
    const py::gil_scoped_release release;
    ops::pairwise_iou(in_a, n, in_b, m, out);
    return result;
}

}  // namespace

void bind_ops(py::module_& module) {
    module.def("pairwise_iou", &pairwise_iou, py::arg("a"), py::arg("b"));
}

}  // namespace yolo
