#include "program/inference/bindings.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <optional>

#include "program/inference/program.h"

namespace yolo::program {
namespace {

namespace py = pybind11;

using Pictures = py::array_t<uint8_t, py::array::c_style>;
using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;

Pictures checked(const InferenceProgram& program, const Pictures& pictures) {
    if (!program.finished()) throw py::value_error("the program is not finished");
    const View& view = program.input_view();
    const std::vector<py::ssize_t> wanted{program.batch(), view.channels, view.height, view.width};
    if (pictures.ndim() != 4 || !std::equal(wanted.begin(), wanted.end(), pictures.shape())) {
        throw py::value_error("the program takes pictures of another shape");
    }
    return pictures;
}

using Run = void (InferenceProgram::*)(const void* const*, void* const*);

py::list call(InferenceProgram& program, const Pictures& given, Run run) {
    const Pictures pictures = checked(program, given);
    py::list outputs;
    std::vector<void*> places;
    for (const View& view : program.output_views()) {
        py::array_t<float> output({program.batch(), view.channels, view.height, view.width});
        places.push_back(output.mutable_data());
        outputs.append(std::move(output));
    }
    const void* inputs[] = {pictures.data()};
    {
        const py::gil_scoped_release free;
        (program.*run)(inputs, places.data());
    }
    return outputs;
}

void set_constant(Weights& weights, const std::string& name, const Floats& values) {
    if (values.ndim() < 1 || values.size() == 0) throw py::value_error(name + ": has no values");
    const dnnl::memory::dims dims(values.shape(), values.shape() + values.ndim());
    weights.set(name, {values.data(), values.data() + values.size()}, dims);
}

}  // namespace

void bind_inference(py::module_& module) {
    py::class_<View>(module, "View")
        .def(py::init([](int64_t offset, int64_t channels, int64_t height, int64_t width, bool plain, bool last) {
                 return View{offset, channels, height, width, plain, last};
             }),
             py::arg("offset"), py::arg("channels"), py::arg("height"), py::arg("width"), py::arg("plain") = false,
             py::arg("last") = false);
    py::class_<Scale>(module, "Scale").def(py::init([](float scale, int32_t zero) { return Scale{scale, zero}; }));
    py::class_<Weights, std::shared_ptr<Weights>>(module, "Weights")
        .def(py::init<>())
        .def("set", &set_constant, py::arg("name"), py::arg("values"))
        .def_property_readonly("bytes", &Weights::bytes);
    py::class_<Limits>(module, "Limits").def(py::init([](int64_t memory, double work) { return Limits{memory, work}; }),
                                             py::arg("memory"), py::arg("work"))
        .def_readonly("memory", &Limits::memory);
    using Numbers = std::vector<int64_t>;
    using P = InferenceProgram;
    py::class_<P, Runnable>(module, "InferenceProgram")
        .def(py::init<std::shared_ptr<Weights>, int64_t, int64_t, int, bool, const Limits&>(), py::arg("weights"),
             py::arg("arena"), py::arg("batch"), py::arg("threads"), py::arg("bf16") = false,
             py::arg("limits") = Limits{})
        .def("input", &P::input)
        .def(
            "conv",
            [](P& self, const std::string& where, const View& from, const View& to, const std::string& weights,
               bool bias, Numbers kernel, Numbers stride, Numbers padding, Numbers dilation, int64_t groups,
               bool transposed, const std::string& activation, float value, const View* residual, bool float_output,
               const std::optional<std::array<Scale, 3>>& scales) {
                const ConvShape shape{kernel, stride, padding, dilation, groups, transposed};
                const Convolution conv{from, to, weights, bias, shape, activation, value, residual, float_output};
                if (!scales) return self.conv(where, conv);
                self.quantised_conv(where, conv, {(*scales)[0], (*scales)[1], (*scales)[2]});
            },
            py::arg("where"), py::arg("source"), py::arg("target"), py::arg("weights"), py::kw_only(), py::arg("bias"),
            py::arg("kernel"), py::arg("stride"), py::arg("padding"), py::arg("dilation"), py::arg("groups"),
            py::arg("transposed"), py::arg("activation"), py::arg("value"), py::arg("residual"),
            py::arg("float_output"), py::arg("scales") = std::nullopt)
        .def("quantise", &P::quantise)
        .def("dequantise", &P::dequantise)
        .def("copy_bytes", &P::copy_bytes)
        .def("upsample_bytes", &P::upsample_bytes)
        .def("pool", &P::pool)
        .def("activate", &P::activate)
        .def("add", &P::add)
        .def("upsample", &P::upsample)
        .def("bilinear", &P::bilinear)
        .def("copy", &P::copy)
        .def("affine", &P::affine)
        .def("attention", &P::attention)
        .def("pad", &P::pad)
        .def("space_to_depth", &P::space_to_depth)
        .def("depth_to_space", &P::depth_to_space)
        .def("output", &P::output)
        .def("finish", &P::finish)
        .def("__call__", [](P& self, const Pictures& pictures) { return call(self, pictures, &P::run); })
        .def("profile", [](P& self, const Pictures& pictures) { return call(self, pictures, &P::profile); })
        .def_property_readonly("steps", &P::steps)
        .def_property_readonly("memory_bytes", &P::memory_bytes);
}

}  // namespace yolo::program
