// NumPy arrays in and out of the operators: every check names the argument that fails it.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

namespace yolo::bindings {

namespace py = pybind11;

constexpr int kReadable = py::array::c_style | py::array::forcecast | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
using Floats = py::array_t<float, kReadable>;
using Ints = py::array_t<int32_t, kReadable>;

inline py::value_error bad(const std::string& name, const std::string& expected, const std::string& got) {
    return py::value_error(name + ": expected " + expected + ", got " + got);
}

inline std::string shape_text(const py::array& array) {
    std::string text = "shape [";
    for (py::ssize_t i = 0; i < array.ndim(); ++i) {
        text += (i ? ", " : "") + std::to_string(array.shape(i));
    }
    return text + "]";
}

// Copies only what is not of this type and C-contiguous already. `kinds` are NumPy's dtype.kind letters.
template <class Array>
Array as_array(const py::object& value, const std::string& name, const std::string& kinds,
               const std::string& expected) {
    const py::array raw = py::array::ensure(value);
    if (!raw) throw bad(name, expected, "something that is no array");
    const bool empty_list = raw.size() == 0;  // NumPy calls [] float64, whatever was meant
    if (!empty_list && kinds.find(raw.dtype().kind()) == std::string::npos) {
        throw bad(name, expected, "dtype " + py::str(raw.dtype()).cast<std::string>());
    }
    Array array = Array::ensure(raw);
    if (!array) throw bad(name, expected, "dtype " + py::str(raw.dtype()).cast<std::string>());
    return array;
}

inline Floats floats(const py::object& value, const std::string& name, const std::string& expected) {
    return as_array<Floats>(value, name, "fiu", expected);
}

inline Ints ints(const py::object& value, const std::string& name, const std::string& expected) {
    return as_array<Ints>(value, name, "iu", expected);
}

// Any number of leading dimensions, the last one 4.
inline Floats boxes4(const py::object& value, const std::string& name) {
    const std::string expected = "float32 boxes of shape [..., 4]";
    Floats boxes = floats(value, name, expected);
    if (boxes.ndim() < 1 || boxes.shape(boxes.ndim() - 1) != 4) throw bad(name, expected, shape_text(boxes));
    return boxes;
}

}  // namespace yolo::bindings
