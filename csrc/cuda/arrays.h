// NumPy arrays of the host's as arguments of operators on a device, for tests.
#pragma once

#include <pybind11/numpy.h>

#include <cstddef>

#include "cuda/device.h"

namespace yolo::cuda {

template <class Type>
using Array = pybind11::array_t<Type, pybind11::array::c_style | pybind11::array::forcecast>;

// A copy of an array on the device.
template <class Type>
class OnDevice {
public:
    OnDevice(const Array<Type>& array, Stream stream)
        : buffer_(static_cast<size_t>(array.size()) * sizeof(Type)), stream_(stream) {
        copy_in(buffer_.data(), array.data(), buffer_.bytes(), stream);
    }
    // Zeros.
    OnDevice(size_t count, Stream stream) : buffer_(count * sizeof(Type)), stream_(stream) {}

    Type* data() const { return reinterpret_cast<Type*>(buffer_.data()); }
    // What is there when all that was given to the stream is done.
    void read(Type* to) const {
        copy_out(to, buffer_.data(), buffer_.bytes(), stream_);
        synchronise(stream_);
    }
    template <class Shape>
    Array<Type> array(const Shape& shape) const {
        Array<Type> found(shape);
        read(found.mutable_data());
        return found;
    }

private:
    DeviceBuffer buffer_;
    Stream stream_;
};

}  // namespace yolo::cuda
