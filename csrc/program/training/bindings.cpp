#include "program/training/bindings.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <map>

#include "program/training/program.h"

namespace yolo::program {
namespace {

namespace py = pybind11;
using namespace training;

using Floats = py::array_t<float, py::array::c_style>;
using Program = TrainingProgram;

const std::map<std::string, Curve>& curves() {
    static const auto* names = new std::map<std::string, Curve>{
        {"Identity", Curve::identity},     {"SiLU", Curve::silu},           {"ReLU", Curve::relu},
        {"ReLU6", Curve::relu6},           {"LeakyReLU", Curve::leaky_relu}, {"Hardswish", Curve::hardswish},
        {"Sigmoid", Curve::sigmoid},       {"Mish", Curve::mish},           {"GELU", Curve::gelu},
        {"Tanh", Curve::tanh},             {"ELU", Curve::elu}};
    return *names;
}

Nonlinearity nonlinearity(const std::string& name, float value) {
    const auto found = curves().find(name);
    if (found == curves().end()) throw std::invalid_argument("unknown activation " + name);
    return {found->second, value};
}

Resampling resampling(const std::string& name) {
    if (name == "max_pool") return Resampling::max_pool;
    if (name == "average_pool") return Resampling::average_pool;
    if (name == "upsample") return Resampling::upsample;
    if (name == "bilinear") return Resampling::bilinear;
    throw std::invalid_argument("unknown resampling " + name);
}

std::vector<Link> links_of(const std::vector<std::array<int64_t, 3>>& given) {
    std::vector<Link> links;
    for (const auto& link : given) links.push_back({link[0], link[1], link[2]});
    return links;
}

void check(const py::array& array, const std::vector<py::ssize_t>& shape, const py::dtype& dtype, const char* name) {
    const bool fits = static_cast<size_t>(array.ndim()) == shape.size() &&
                      std::equal(shape.begin(), shape.end(), array.shape()) && array.dtype().is(dtype) &&
                      (array.flags() & py::array::c_style) != 0;
    if (!fits) throw py::value_error(std::string(name) + ": another shape, dtype or order than the program takes");
}

std::vector<py::ssize_t> shape_of(const Program& program, const Slice& slice) {
    return {program.batch(), slice.channels, slice.height, slice.width};
}

float* vector_of(Floats& vector, const char* name) {
    if (vector.ndim() != 1) throw py::value_error(std::string(name) + ": expected a vector");
    return vector.mutable_data();  // raises where it is read-only
}

py::list forward(Program& program, const py::array& images, Floats& values) {
    check(images, shape_of(program, program.images()),
          program.takes_bytes() ? py::dtype::of<uint8_t>() : py::dtype::of<float>(), "images");
    float* const vector = vector_of(values, "values");
    py::list heads;
    std::vector<void*> places;
    for (const Slice& slice : program.heads()) {
        Floats head(shape_of(program, slice));
        places.push_back(head.mutable_data());
        heads.append(std::move(head));
    }
    const py::gil_scoped_release free;
    program.forward(images.data(), vector, places.data());
    return heads;
}

void backward(Program& program, const std::vector<py::array>& head_gradients, Floats& values, Floats& gradient) {
    if (head_gradients.size() != program.heads().size()) throw py::value_error("one gradient a head is needed");
    std::vector<const void*> places;
    for (size_t i = 0; i < head_gradients.size(); ++i) {
        check(head_gradients[i], shape_of(program, program.heads()[i]), py::dtype::of<float>(), "head gradient");
        places.push_back(head_gradients[i].data());
    }
    float* const vector = vector_of(values, "values");
    float* const to = vector_of(gradient, "gradient");
    const py::gil_scoped_release free;
    program.backward(places.data(), vector, to);
}

void bind_specs(py::class_<Program, std::shared_ptr<Program>>& program) {
    program.def(
        "conv",
        [](Program& self, const std::string& where, const Slice& source, const Slice& target,
           const std::vector<std::pair<int64_t, int64_t>>& weights, int64_t bias, Numbers kernel, Numbers stride,
           Numbers padding, Numbers dilation, int64_t groups, bool transposed) {
            ConvolutionSpec spec{where, source, target, {}, bias, kernel, stride, padding, dilation, groups, transposed};
            for (const auto& [offset, count] : weights) spec.weights.push_back({offset, count});
            return self.conv(spec);
        },
        py::arg("where"), py::arg("source"), py::arg("target"), py::kw_only(), py::arg("weights"), py::arg("bias"),
        py::arg("kernel"), py::arg("stride"), py::arg("padding"), py::arg("dilation"), py::arg("groups"),
        py::arg("transposed"));
    program.def(
        "stage",
        [](Program& self, const std::string& where, const Slice& source, const std::vector<Slice>& targets,
           const std::optional<Slice>& residual, const std::string& activation, float value,
           const std::array<int64_t, 4>& tensors, float eps, float momentum) {
            return self.stage({where, source, targets, residual, nonlinearity(activation, value),
                               {tensors[0], tensors[1], tensors[2], tensors[3]}, {eps, momentum}});
        },
        py::arg("where"), py::arg("source"), py::arg("targets"), py::kw_only(), py::arg("residual"),
        py::arg("activation"), py::arg("value"), py::arg("tensors"), py::arg("eps"), py::arg("momentum"));
}

void bind_planes(py::class_<Program, std::shared_ptr<Program>>& program) {
    program.def("resample", [](Program& self, const std::string& where, const std::string& kind, const Slice& source,
                               const Slice& target, const std::array<int64_t, 3>& window, int64_t index) {
        self.resample(where, resampling(kind), source, target, {0, 0, 0, 0, window[0], window[1], window[2]}, index);
    });
    program.def("resample_again", [](Program& self, const std::string& where, const std::string& kind,
                                     const Slice& source, const Slice& target, const std::array<int64_t, 3>& window,
                                     int64_t index) {
        self.resample_again(where, resampling(kind), source, target, {0, 0, 0, 0, window[0], window[1], window[2]}, index);
    });
    program.def("resample_back",
                [](Program& self, const std::string& where, const std::string& kind, const std::vector<Slice>& gradients,
                   const Slice& source_gradient, const std::array<int64_t, 3>& window, int64_t index) {
                    self.resample_back(where, resampling(kind), gradients, source_gradient,
                                       {0, 0, 0, 0, window[0], window[1], window[2]}, index);
                });
    using Links = std::vector<std::array<int64_t, 3>>;
    program.def("collect", [](Program& self, const std::string& where, const Slice& fine, const Slice& coarse,
                              const Links& links, int64_t stride, bool backward) {
        self.collect(where, fine, coarse, links_of(links), stride, backward);
    });
    program.def("spread", [](Program& self, const std::string& where, const Slice& fine, const Slice& coarse,
                             const Links& links, int64_t stride, bool clear, bool backward) {
        self.spread(where, fine, coarse, links_of(links), stride, clear, backward);
    });
}

void bind_info(py::module_& module) {
    py::class_<Slice>(module, "Slice")
        .def(py::init([](int64_t offset, int64_t buffer_channels, int64_t first, int64_t channels, int64_t height,
                         int64_t width, int64_t element, bool plain) {
                 return Slice{offset, buffer_channels, first, channels, height, width, element, plain};
             }),
             py::arg("offset"), py::arg("buffer_channels"), py::arg("first"), py::arg("channels"), py::arg("height"),
             py::arg("width"), py::arg("element"), py::arg("plain"));
    py::class_<training::StepInfo>(module, "TrainingStep")
        .def_readonly("where", &training::StepInfo::where)
        .def_readonly("kind", &training::StepInfo::kind)
        .def_readonly("implementation", &training::StepInfo::implementation)
        .def_readonly("flops", &training::StepInfo::flops)
        .def_readonly("bytes", &training::StepInfo::bytes)
        .def_readonly("milliseconds", &training::StepInfo::milliseconds)
        .def_readonly("runs", &training::StepInfo::runs);
    py::class_<ForwardPass, Runnable>(module, "ForwardPass").def(py::init<std::shared_ptr<Program>>());
    py::class_<BackwardPass, Runnable>(module, "BackwardPass").def(py::init<std::shared_ptr<Program>>());
}

}  // namespace

void bind_training(py::module_& module) {
    module.attr("TrainingMemory") = module.attr("Memory");
    py::class_<Program, std::shared_ptr<Program>> program(module, "TrainingProgram");
    bind_info(module);
    bind_specs(program);
    bind_planes(program);
    program
        .def(py::init<int64_t, int64_t, int, bool, std::shared_ptr<Memory>, std::shared_ptr<net::Exchange>>(),
             py::arg("arena"), py::arg("batch"), py::arg("threads"), py::arg("bf16"), py::arg("memory").none(false),
             py::arg("exchange"))
        .def("load_images", &Program::load_images)
        .def("store_head", &Program::store_head)
        .def("load_head_gradient", &Program::load_head_gradient)
        .def("conv_back", &Program::conv_back)
        .def("stage_back", &Program::stage_back)
        .def("stage_again", &Program::stage_again)
        .def("attention", &Program::attention)
        .def("attention_back", &Program::attention_back)
        .def("accumulate", &Program::accumulate)
        .def("finish", &Program::finish)
        .def("forward", &forward, py::arg("images"), py::arg("values").noconvert())
        .def("backward", &backward, py::arg("head_gradients"), py::arg("values").noconvert(),
             py::arg("gradient").noconvert())
        .def("profile", &Program::profile, py::arg("on"))
        .def("steps", &Program::steps)
        .def_property_readonly("notes", &Program::notes)
        .def_property_readonly("memory_bytes", &Program::memory_bytes);
}

}  // namespace yolo::program
