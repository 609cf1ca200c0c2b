// Kernels that steps are made of, on arrays: for tests. Maps are whole buffers [images, height, width, pitch], and what
// works on them sees `channels` channels from `first` on.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/arrays.h"
#include "cuda/timer.h"
#include "program/cuda/bindings.h"
#include "program/cuda/epilogue.h"
#include "program/cuda/norm.h"
#include "program/cuda/weights.h"

namespace yolo::program::cuda {
namespace {

namespace py = pybind11;
using yolo::cuda::DeviceBuffer;
using yolo::cuda::Number;
using yolo::cuda::Timer;
using Floats = yolo::cuda::Array<float>;
using DeviceFloats = yolo::cuda::OnDevice<float>;
using Shape = std::vector<py::ssize_t>;

Number number_of(const std::string& name) {
    if (name == "fp32") return Number::float32;
    if (name == "bf16") return Number::bfloat16;
    if (name == "fp16") return Number::float16;
    throw std::invalid_argument("unknown precision " + name);
}

Shape shape_of(const Floats& array) {
    return {array.shape(), array.shape() + array.ndim()};
}

// What float32 numbers of the host's become on the device, and what they are there, as float32.
class NumbersOnDevice {
public:
    NumbersOnDevice(const float* from, size_t count, Number number, Stream stream)
        : number_(number), count_(count), stream_(stream), buffer_(count * yolo::cuda::bytes_of(number)) {
        yolo::cuda::with_type(number, [&](auto type) {
            std::vector<decltype(type)> made(count);
            for (size_t i = 0; i < count; ++i) made[i] = yolo::cuda::rounded<decltype(type)>(from[i]);
            yolo::cuda::copy_in(buffer_.data(), made.data(), buffer_.bytes(), stream);
            yolo::cuda::synchronise(stream);
        });
    }
    void* data() const { return buffer_.data(); }
    Floats read(const Shape& shape) const {
        Floats found(shape);
        yolo::cuda::with_type(number_, [&](auto type) {
            std::vector<decltype(type)> made(count_);
            yolo::cuda::copy_out(made.data(), buffer_.data(), buffer_.bytes(), stream_);
            yolo::cuda::synchronise(stream_);
            for (size_t i = 0; i < count_; ++i) found.mutable_data()[i] = yolo::cuda::to_float(made[i]);
        });
        return found;
    }

private:
    Number number_;
    size_t count_;
    Stream stream_;
    DeviceBuffer buffer_;
};

// Which maps a call works on, and its stream.
struct Maps {
    Number number;
    int64_t first, channels;
    yolo::cuda::OwnStream own;

    Stream stream() const { return own.get(); }
    Map map(const NumbersOnDevice& made, const Floats& array) const {
        std::byte* const at = static_cast<std::byte*>(made.data()) + first * yolo::cuda::bytes_of(number);
        return {at, number, array.shape(0), array.shape(1), array.shape(2), channels, array.shape(3)};
    }
};

// Arrays as maps, which are read again as arrays.
struct Buffers {
    const Maps& maps;
    std::vector<Floats> arrays;
    std::vector<std::unique_ptr<NumbersOnDevice>> made = {};

    Buffers(const Maps& of, std::vector<Floats> given) : maps(of), arrays(std::move(given)) {
        for (const Floats& array : arrays) {
            const auto count = static_cast<size_t>(array.size());
            made.push_back(std::make_unique<NumbersOnDevice>(array.data(), count, maps.number, maps.stream()));
        }
    }
    std::vector<Map> all() const {
        std::vector<Map> found;
        for (size_t i = 0; i < arrays.size(); ++i) found.push_back(maps.map(*made[i], arrays[i]));
        return found;
    }
    std::vector<Floats> read() const {
        std::vector<Floats> found;
        for (size_t i = 0; i < arrays.size(); ++i) found.push_back(made[i]->read(shape_of(arrays[i])));
        return found;
    }
};

Floats epilogue_of(const std::string& precision, int64_t first, int64_t channels, const Floats& target,
                   const std::optional<Floats>& bias, const std::string& activation, float value,
                   const std::optional<Floats>& residual) {
    const Maps maps{number_of(precision), first, channels, {}};
    const Buffers made(maps, residual ? std::vector{target, *residual} : std::vector{target});
    const DeviceFloats added(bias.value_or(Floats(0)), maps.stream());
    const std::vector<Map> all = made.all();
    epilogue(all[0], bias ? added.data() : nullptr, activation, value, residual ? &all[1] : nullptr, maps.stream());
    return made.read()[0];
}

// A step forwards and backwards. `values` [4, channels]: weight, bias, running mean and variance; [1, channels]: bias;
// [0, channels]: none. Gives targets, values, gradient (both of the values' shape), sum (where two gradients are given)
// and source_gradient, which is written over the source where `over`.
py::dict norm_act_add(const std::string& precision, int64_t first, int64_t channels, const Floats& source,
                      const Floats& values, const std::string& activation, float value,
                      const std::vector<Floats>& residual, const std::vector<Floats>& targets,
                      const std::vector<Floats>& gradients, bool over, Timer* timer) {
    const Maps maps{number_of(precision), first, channels, {}};
    const Stream stream = maps.stream();
    const Buffers sources(maps, {source, source}), added(maps, residual), made(maps, targets), given(maps, gradients),
        sums(maps, {source});
    const Map from = sources.all()[0], to = sources.all()[over ? 0 : 1], sum = sums.all()[0];
    const DeviceFloats moved(values, stream), gradient(static_cast<size_t>(values.size()), stream),
        memory(static_cast<size_t>(6 * from.lanes()), stream);
    const DeviceBuffer scratch(std::max(measure_scratch_bytes(from), gradient_scratch_bytes(from)));
    float *const v = moved.data(), *const m = memory.data(), *const partials = reinterpret_cast<float*>(scratch.data());
    const int64_t lanes = from.lanes(), c = channels;
    const BatchState state{m, m + lanes, m + 2 * lanes, m + 3 * lanes, m + 4 * lanes, m + 5 * lanes};
    const bool normalised = values.shape(0) == 4, learns = values.shape(0) > 0;
    const Affine affine = normalised ? state.affine() : Affine{nullptr, nullptr, learns ? v : nullptr};
    const Activation known = activation_of(activation, value);
    const std::vector<Map> others = added.all(), all = given.all();
    const auto forward = [&](Stream on) {
        if (normalised) measure(from, {v, v + c, v + 2 * c, v + 3 * c, 1e-3f, 0.03f}, state, partials, on);
        activate(from, affine, known, others.empty() ? nullptr : &others[0], made.all(), on);
    };
    yolo::cuda::give(forward, stream, timer, "forward");
    float* const learnt = gradient.data();
    const ParameterGradients parameters =
        normalised ? ParameterGradients{learnt + c, learnt, &state} : ParameterGradients{learnt};
    const bool summed = all.size() > 1 && learns;
    const auto backward = [&](Stream on) {
        const Map* const into = summed ? &sum : nullptr;
        if (learns) add_parameter_gradients(from, all, into, affine, known, parameters, partials, on);
        const std::vector<Map> whole = summed ? std::vector<Map>{sum} : all;
        write_source_gradient(from, whole, affine, known, normalised ? &state : nullptr, to, on);
    };
    yolo::cuda::give(backward, stream, timer, "backward");
    const Shape shape = shape_of(values);
    py::dict found;
    found["targets"] = made.read(), found["values"] = moved.array(shape), found["gradient"] = gradient.array(shape);
    found["sum"] = sums.read()[0], found["source_gradient"] = sources.read()[over ? 0 : 1];
    return found;
}

Floats bias_gradient(const std::string& precision, int64_t first, int64_t channels, const Floats& gradient,
                     const Floats& before) {
    const Maps maps{number_of(precision), first, channels, {}};
    const Buffers made(maps, {gradient});
    const DeviceFloats sum(before, maps.stream());
    const Map map = made.all()[0];
    const DeviceBuffer scratch(bias_gradient_scratch_bytes(map));
    add_bias_gradient(map, sum.data(), reinterpret_cast<float*>(scratch.data()), maps.stream());
    return sum.array(shape_of(before));
}

// Weights [out, in / groups, taps] in pieces of `values`, packed.
Floats packed(const std::string& precision, const Floats& values, const std::vector<int64_t>& pieces, int64_t out,
              int64_t in, int64_t taps, int64_t groups) {
    const yolo::cuda::OwnStream stream;
    const WeightShape shape(out, in, taps, groups);
    const Floats nothing(static_cast<py::ssize_t>(shape.packed()));
    const NumbersOnDevice made(nothing.data(), static_cast<size_t>(shape.packed()), number_of(precision), stream.get());
    const DeviceFloats from(values, stream.get());
    const std::vector<int64_t> table = pieces_of(pieces);
    const yolo::cuda::OnDevice<int64_t> on_device(
        yolo::cuda::Array<int64_t>(static_cast<py::ssize_t>(table.size()), table.data()), stream.get());
    pack_weights(from.data(), on_device.data(), shape, number_of(precision), made.data(), stream.get());
    return made.read({shape.out_lanes, shape.taps, shape.in_lanes});
}

// `gradient` with packed weights [out lanes, taps, in lanes] added.
Floats with_weight_gradient(const Floats& given, const Floats& gradient, const std::vector<int64_t>& pieces,
                            int64_t out, int64_t in, int64_t groups) {
    const yolo::cuda::OwnStream stream;
    const DeviceFloats from(given, stream.get()), sum(gradient, stream.get());
    const std::vector<int64_t> table = pieces_of(pieces);
    const yolo::cuda::OnDevice<int64_t> on_device(
        yolo::cuda::Array<int64_t>(static_cast<py::ssize_t>(table.size()), table.data()), stream.get());
    add_weight_gradient(from.data(), on_device.data(), {out, in, given.shape(1), groups}, sum.data(), stream.get());
    return sum.array(shape_of(gradient));
}

}  // namespace

void bind_kernels(py::module_& module) {
    const py::arg precision("precision"), first("first"), channels("channels"), source("source"), target("target");
    const py::arg values("values"), activation("activation"), value("value"), residual("residual"), bias("bias");
    const py::arg gradient("gradient"), pieces("pieces"), out("out"), in("in_"), taps("taps"), groups("groups");
    module.def("epilogue", &epilogue_of, precision, first, channels, target, bias, activation, value, residual);
    module.def("norm_act_add", &norm_act_add, precision, first, channels, source, values, activation, value, residual,
               py::arg("targets"), py::arg("gradients"), py::arg("over"), py::arg("timer") = py::none());
    module.def("bias_gradient", &bias_gradient, precision, first, channels, gradient, py::arg("before"));
    module.def("pack_weights", &packed, precision, values, pieces, out, in, taps, groups);
    module.def("with_weight_gradient", &with_weight_gradient, py::arg("packed"), gradient, pieces, out, in, groups);
}

}  // namespace yolo::program::cuda
