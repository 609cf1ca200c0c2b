#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

#include "bindings.h"
#include "program/detection/detector.h"
#include "program/detection/loss.h"

namespace yolo::program {
namespace {

namespace py = pybind11;

using Floats = py::array_t<float, py::array::c_style>;
using Counts = py::array_t<int32_t, py::array::c_style>;

// Boxes that are known: float32 [batch, places, 5] and int32 [batch].
using Known = std::pair<Floats, Counts>;

void add_known(const DetectionHead& head, const std::optional<Known>& known, std::vector<const void*>& inputs) {
    if (known.has_value() != (head.places() > 0)) throw py::value_error("known boxes go with places for them");
    if (!known) return;
    if (known->first.size() != head.batch() * head.places() * 5 || known->second.size() != head.batch()) {
        throw py::value_error("the known boxes have another size");
    }
    inputs.push_back(known->first.data());
    inputs.push_back(known->second.data());
}

// What `program`, which ends with `end`, gives.
template <class End>
py::tuple detections_of(Runnable& program, const End& end, const std::vector<const void*>& inputs) {
    py::array_t<float> detections({end.batch(), end.max_det(), int64_t{6}});
    py::array_t<int32_t> counts(end.batch());
    void* outputs[] = {detections.mutable_data(), counts.mutable_data()};
    {
        const py::gil_scoped_release free;
        program.run(inputs.data(), outputs);
    }
    return py::make_tuple(detections, counts);
}

py::tuple call(DetectionHead& head, const std::vector<Floats>& heads, const std::optional<Known>& known) {
    if (heads.size() != head.levels().size()) throw py::value_error("one raw head a level is needed");
    std::vector<const void*> inputs;
    for (size_t i = 0; i < heads.size(); ++i) {
        const int64_t numbers = head.batch() * head.levels()[i].numbers(head.classes());
        if (heads[i].size() != numbers) throw py::value_error("a raw head has another size");
        inputs.push_back(heads[i].data());
    }
    add_known(head, known, inputs);
    return detections_of(head, head, inputs);
}

py::tuple suppress(Nms& nms, const Floats& predictions) {
    if (predictions.size() != nms.numbers()) throw py::value_error("the predictions have another size");
    return detections_of(nms, nms, {predictions.data()});
}

py::tuple detect(DetectorProgram& detector, const py::array_t<uint8_t, py::array::c_style>& images) {
    const Numbers& wanted = detector.network().images();
    if (images.ndim() != 4 || !std::equal(wanted.begin(), wanted.end(), images.shape())) {
        throw py::value_error("the program takes images of another shape");
    }
    return detections_of(detector, detector.head(), {images.data()});
}

// A recipe's numbers by their names, each of them given.
ops::LossSettings loss_settings(const py::kwargs& given) {
    using Settings = ops::LossSettings;
    const std::pair<const char*, double Settings::*> numbers[] = {
        {"box", &Settings::box},           {"obj", &Settings::obj},           {"cls", &Settings::cls},
        {"cls_pw", &Settings::cls_pw},     {"obj_pw", &Settings::obj_pw},     {"anchor_t", &Settings::anchor_t},
        {"fl_gamma", &Settings::fl_gamma}, {"label_smoothing", &Settings::label_smoothing}};
    Settings settings;
    for (const auto& [name, number] : numbers) settings.*number = given[name].cast<double>();
    settings.balance = given["balance"].cast<std::vector<double>>();
    if (given.size() != std::size(numbers) + 1) throw py::value_error("a loss has no such setting");
    return settings;
}

// (terms, parts, one gradient a level): what an operator computes of these arrays, for tests.
py::tuple evaluate(const DetectionLoss& loss, const std::vector<Floats>& heads, const Floats& labels,
                   const Counts& counts) {
    if (labels.ndim() != 3 || labels.shape(2) != 5) throw py::value_error("labels: expected float32 [B, M, 5]");
    const int64_t batch = labels.shape(0), places = labels.shape(1);
    const auto fits = [places](int32_t count) { return count >= 0 && count <= places; };
    if (counts.size() != batch || !std::all_of(counts.data(), counts.data() + batch, fits)) {
        throw py::value_error("counts: expected one number an image, of rows that it has");
    }
    if (heads.size() != loss.levels()) throw py::value_error("heads: expected one a level");
    std::vector<const float*> inputs;
    std::vector<float*> slopes;
    py::list gradients;
    for (size_t i = 0; i < heads.size(); ++i) {
        if (heads[i].size() != batch * loss.head_size(i)) throw py::value_error("heads: expected another size");
        inputs.push_back(heads[i].data());
        py::array_t<float> gradient(std::vector<py::ssize_t>(heads[i].shape(), heads[i].shape() + heads[i].ndim()));
        slopes.push_back(gradient.mutable_data());
        std::fill_n(slopes.back(), gradient.size(), std::nanf(""));  // shows what is not written
        gradients.append(std::move(gradient));
    }
    py::array_t<double> terms({static_cast<int64_t>(heads.size()), ops::kLossTerms});
    py::array_t<float> parts(ops::kLossParts);
    double* sums = terms.mutable_data();
    float* numbers = parts.mutable_data();
    {
        const py::gil_scoped_release free;
        loss.compute(inputs.data(), labels.data(), counts.data(), batch, places, slopes.data(), sums, numbers);
    }
    return py::make_tuple(terms, parts, gradients);
}

}  // namespace

void bind_detection(py::module_& module) {
    py::class_<Level>(module, "Level")
        .def(py::init([](int64_t height, int64_t width, float stride, std::vector<float> anchors, float scale,
                         float mirror) {
                 return Level{height, width, stride, std::move(anchors), scale, mirror};
             }),
             py::arg("height"), py::arg("width"), py::arg("stride"), py::arg("anchors"), py::arg("scale") = 1.0f,
             py::arg("mirror") = 0.0f);
    py::class_<ops::NmsSettings>(module, "NmsSettings")
        .def(py::init([](float conf, double iou, int64_t max_det, int64_t max_candidates, bool agnostic,
                         bool multi_label, std::vector<uint8_t> wanted) {
                 return ops::NmsSettings{conf, iou, max_det, max_candidates, agnostic, multi_label, std::move(wanted)};
             }),
             py::kw_only(), py::arg("conf"), py::arg("iou"), py::arg("max_det"), py::arg("max_candidates"),
             py::arg("agnostic"), py::arg("multi_label"), py::arg("wanted"));
    py::class_<DetectionHead, TimedRunnable>(module, "DetectionHead")
        .def(py::init<std::vector<Level>, int64_t, int64_t, ops::NmsSettings, int64_t>(), py::arg("levels"),
             py::arg("classes"), py::arg("batch"), py::arg("settings"), py::arg("places") = 0)
        .def("__call__", &call, py::arg("heads"), py::arg("known") = py::none());
    py::class_<DetectorProgram, Runnable>(module, "DetectorProgram")
        .def(py::init<Network&, DetectionHead&>(), py::arg("network"), py::arg("head"),
             py::keep_alive<1, 2>(), py::keep_alive<1, 3>())
        .def_property_readonly("nms_seconds", [](const DetectorProgram& own) { return own.head().seconds(); })
        .def("__call__", &detect);
    py::class_<DetectionLoss>(module, "DetectionLoss")
        .def(py::init([](std::vector<Level> levels, int64_t classes, const py::kwargs& settings) {
                 return DetectionLoss(std::move(levels), classes, loss_settings(settings));
             }),
             py::arg("levels"), py::arg("classes"))
        .def("__call__", &evaluate, py::arg("heads"), py::arg("labels"), py::arg("counts"));
    py::class_<LossTerms, Runnable>(module, "LossTerms")
        .def(py::init<DetectionLoss, int64_t, int64_t>(), py::arg("loss"), py::arg("batch"), py::arg("places"));
    py::class_<MatchCount, Runnable>(module, "MatchCount")
        .def(py::init<DetectionLoss, int64_t, int64_t>(), py::arg("loss"), py::arg("batch"), py::arg("places"));
    py::class_<Nms, TimedRunnable>(module, "Nms")
        .def(py::init<int64_t, int64_t, int64_t, ops::NmsSettings>(), py::arg("batch"), py::arg("rows"), py::arg("classes"),
             py::arg("settings"))
        .def("__call__", &suppress, py::arg("predictions"));
}

}  // namespace yolo::program
