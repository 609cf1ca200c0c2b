#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "cuda/arrays.h"
#include "cuda/timer.h"
#include "ops/cuda/bindings.h"
#include "ops/cuda/decode.h"
#include "ops/cuda/iou.h"
#include "ops/cuda/letterbox.h"
#include "ops/cuda/nms.h"

namespace yolo::ops::cuda {
namespace {

namespace py = pybind11;

using namespace yolo::cuda;
using Images = std::vector<Array<uint8_t>>;
using Place = std::array<int32_t, 4>;  // resized height and width, top, left

// Images on the device, and their table there.
class Table {
public:
    Table(const Images& images, const std::vector<Place>& places, Stream stream) {
        if (images.size() != places.size()) throw py::value_error("images: expected one a place");
        std::vector<LetterboxImage> entries;
        for (size_t i = 0; i < images.size(); ++i) {
            const auto height = static_cast<int32_t>(images[i].shape(0));
            const auto width = static_cast<int32_t>(images[i].shape(1));
            pixels_.push_back(std::make_unique<OnDevice<uint8_t>>(images[i], stream));
            const Place& place = places[i];
            entries.emplace_back(pixels_.back()->data(), 3 * int64_t{width}, height, width, place[0], place[1],
                                 place[2], place[3]);
        }
        table_ = std::make_unique<DeviceBuffer>(entries.size() * sizeof(LetterboxImage));
        copy_in(table_->data(), entries.data(), table_->bytes(), stream);
        synchronise(stream);
    }
    const LetterboxImage* data() const { return reinterpret_cast<const LetterboxImage*>(table_->data()); }

private:
    std::vector<std::unique_ptr<OnDevice<uint8_t>>> pixels_;
    std::unique_ptr<DeviceBuffer> table_;
};

Array<uint8_t> letterbox_planes(const Images& images, const std::vector<Place>& places, int64_t height, int64_t width,
                                bool swapped) {
    const OwnStream stream;
    const Table table(images, places, stream.get());
    const auto count = static_cast<int64_t>(images.size());
    const OnDevice<uint8_t> planes(static_cast<size_t>(count * 3 * height * width), stream.get());
    letterbox(table.data(), count, height, width, swapped, planes.data(), stream.get());
    return planes.array(std::vector<int64_t>{count, 3, height, width});
}

// The bytes of a map [images, height, width, pitch].
Array<uint8_t> letterbox_map(const Images& images, const std::vector<Place>& places, int64_t height, int64_t width,
                             bool swapped, const std::string& number, int64_t pitch, Timer* timer) {
    const OwnStream stream;
    const Table table(images, places, stream.get());
    const auto count = static_cast<int64_t>(images.size());
    const Number type = number == "float32"    ? Number::float32
                        : number == "bfloat16" ? Number::bfloat16
                                               : Number::float16;
    const auto bytes = pitch * static_cast<int64_t>(bytes_of(type));
    const OnDevice<uint8_t> map(static_cast<size_t>(count * height * width * bytes), stream.get());
    const Map target{map.data(), type, count, height, width, 3, pitch};
    give([&](Stream to) { letterbox(table.data(), swapped, target, to); }, stream.get(), timer);
    return map.array(std::vector<int64_t>{count, height, width, bytes});
}

Array<float> pairs(const Array<float>& a, const Array<float>& b, Timer* timer) {
    const OwnStream stream;
    const int64_t n = a.shape(0), m = b.shape(0);
    const OnDevice<float> first(a, stream.get()), second(b, stream.get());
    const OnDevice<float> out(static_cast<size_t>(n * m), stream.get());
    give([&](Stream to) { pairwise_iou(first.data(), n, second.data(), m, out.data(), to); }, stream.get(), timer);
    return out.array(std::vector<int64_t>{n, m});
}

// (values [n], gradient [n, 4]), or the values alone.
py::object overlaps(const std::string& kind, const Array<float>& a, const Array<float>& b, bool gradient) {
    const Overlap which = kind == "iou"    ? Overlap::iou
                          : kind == "giou" ? Overlap::giou
                          : kind == "diou" ? Overlap::diou
                                           : Overlap::ciou;
    const OwnStream stream;
    const int64_t n = a.shape(0);
    const OnDevice<float> first(a, stream.get()), second(b, stream.get());
    const OnDevice<float> values(static_cast<size_t>(n), stream.get());
    const OnDevice<float> slopes(static_cast<size_t>(4 * n), stream.get());
    overlap(which, first.data(), second.data(), n, values.data(), gradient ? slopes.data() : nullptr, stream.get());
    const Array<float> found = values.array(std::vector<int64_t>{n});
    if (!gradient) return found;
    return py::make_tuple(found, slopes.array(std::vector<int64_t>{n, 4}));
}

// Numbers by their names, each of them given; and the classes that are wanted, on the device.
class Problem {
public:
    Problem(int64_t images, int64_t rows, int64_t classes, const py::kwargs& given, Stream stream)
        : wanted_(Array<uint8_t>(given["wanted"]), stream),
          problem_{images, rows, classes, settings_of(given), wanted_.data()} {
        problem_.check();
    }

    // Calls work(problem, detections, counts, scratch, stream), all on the device; returns what it has written.
    template <class Work>
    py::tuple run(Stream stream, Timer* timer, const Work& work) const {
        const OnDevice<float> detections(static_cast<size_t>(problem_.images * problem_.settings.max_det * 6), stream);
        const OnDevice<int32_t> counts(static_cast<size_t>(problem_.images), stream);
        const DeviceBuffer scratch(nms_scratch_bytes(problem_));
        give([&](Stream to) { work(problem_, detections.data(), counts.data(), scratch.data(), to); }, stream, timer);
        return py::make_tuple(detections.array(std::vector<int64_t>{problem_.images, problem_.settings.max_det, 6}),
                              counts.array(std::vector<int64_t>{problem_.images}));
    }

private:
    static NmsSettings settings_of(const py::kwargs& given) {
        return {given["conf"].cast<float>(),   given["iou"].cast<double>(),
                given["max_det"].cast<int64_t>(), given["max_candidates"].cast<int64_t>(),
                given["agnostic"].cast<bool>(),   given["multi_label"].cast<bool>(),
                given["wanted"].cast<std::vector<uint8_t>>()};
    }

    OnDevice<uint8_t> wanted_;
    NmsProblem problem_;
};

// (detections, counts) of decoded predictions.
py::tuple suppress(const Array<float>& predictions, Timer* timer, const py::kwargs& given) {
    const OwnStream stream;
    const int64_t images = predictions.shape(0), rows = predictions.shape(1), classes = predictions.shape(2) - 5;
    const Problem problem(images, rows, classes, given, stream.get());
    const OnDevice<float> input(predictions, stream.get());
    const auto work = [&](const NmsProblem& own, float* detections, int32_t* counts, void* scratch, Stream to) {
        nms(own, input.data(), detections, counts, scratch, to);
    };
    return problem.run(stream.get(), timer, work);
}

// stride, anchors, scale, mirror
using Geometry = std::tuple<float, std::vector<float>, float, float>;

// (detections, counts) of raw heads [B, anchors * (5 + classes), h, w]; known: boxes [B, places, 5] and counts [B].
py::tuple detections_of(const std::vector<Array<float>>& heads, const std::vector<Geometry>& geometry, int64_t classes,
                        const Array<float>& boxes, const Array<int32_t>& places, Timer* timer,
                        const py::kwargs& given) {
    const OwnStream stream;
    std::vector<std::unique_ptr<OnDevice<float>>> inputs;
    std::vector<HeadLevel> levels;
    for (size_t i = 0; i < heads.size(); ++i) {
        inputs.push_back(std::make_unique<OnDevice<float>>(heads[i], stream.get()));
        const auto& [stride, anchors, scale, mirror] = geometry.at(i);
        levels.push_back({inputs.back()->data(), heads[i].shape(2), heads[i].shape(3), stride, anchors, scale, mirror});
    }
    const OnDevice<float> rows(boxes, stream.get());
    const OnDevice<int32_t> filled(places, stream.get());
    const KnownBoxes known{rows.data(), filled.data(), boxes.shape(1)};
    const Problem problem(heads.at(0).shape(0), rows_of(levels, known), classes, given, stream.get());
    const auto work = [&](const NmsProblem& own, float* detections, int32_t* counts, void* scratch, Stream to) {
        detect(own, levels, known, detections, counts, scratch, to);
    };
    return problem.run(stream.get(), timer, work);
}

}  // namespace

void bind_detection(py::module_& module) {
    const auto timer = py::arg("timer") = py::none();
    module.def("nms", &suppress, py::arg("predictions"), py::kw_only(), timer);
    module.def("detect", &detections_of, py::arg("heads"), py::arg("geometry"), py::arg("classes"), py::arg("boxes"),
               py::arg("places"), py::kw_only(), timer);
    module.def("letterbox_planes", &letterbox_planes, py::arg("images"), py::arg("places"), py::arg("height"),
               py::arg("width"), py::arg("swapped") = false);
    module.def("letterbox_map", &letterbox_map, py::arg("images"), py::arg("places"), py::arg("height"),
               py::arg("width"), py::arg("swapped"), py::arg("number"), py::arg("pitch"), timer);
    module.def("pairwise_iou", &pairs, py::arg("a"), py::arg("b"), timer);
    module.def("overlap", &overlaps, py::arg("kind"), py::arg("a"), py::arg("b"), py::arg("gradient") = true);
}

}  // namespace yolo::ops::cuda
