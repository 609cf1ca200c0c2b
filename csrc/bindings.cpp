// The private module yolo._C: checks what Python hands over, lets the interpreter go on, runs the operator.
#include <pybind11/stl.h>

#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "arrays.h"
#include "bindings_train.h"
#include "checks.h"
#include "ops/assign.h"
#include "ops/boxes.h"
#include "ops/cpu/parallel.h"
#include "ops/iou.h"
#include "ops/nms.h"

namespace yolo::bindings {
namespace {

using Pair = std::pair<double, double>;

std::vector<uint8_t> class_flags(const std::vector<int64_t>& wanted, int64_t classes) {
    std::vector<uint8_t> flags(classes, 0);
    for (const int64_t c : wanted) {
        if (c < 0) throw bad("classes", "class numbers of 0 or more", std::to_string(c));
        if (c < classes) flags[c] = 1;
    }
    return flags;
}

py::tuple nms(const py::object& predictions, double conf, double iou, int64_t max_det,
              const std::optional<std::vector<int64_t>>& classes, bool agnostic, bool multi_label,
              int64_t max_candidates) {
    const std::string expected = "float32 [B, N, 5 + nc] with nc of 1 or more";
    const Floats input = floats(predictions, "predictions", expected);
    if (input.ndim() != 3 || input.shape(2) < 6) throw bad("predictions", expected, shape_text(input));
    check_fraction(conf, "conf");
    check_fraction(iou, "iou");
    check_count(max_det, 0, "max_det");
    check_count(max_candidates, 1, "max_candidates");
    const int64_t images = input.shape(0), rows = input.shape(1), nc = input.shape(2) - 5;
    if (rows > 0 && nc > std::numeric_limits<uint32_t>::max() / rows) {
        throw bad("predictions", "fewer than 2^32 scores an image", shape_text(input));
    }
    std::vector<uint8_t> flags;
    if (classes) flags = class_flags(*classes, nc);
    const ops::NmsOptions options{static_cast<float>(conf),        iou, max_det, max_candidates, agnostic, multi_label,
                                  classes ? flags.data() : nullptr};
    py::array_t<float> detections({images, max_det, int64_t{6}});
    py::array_t<int32_t> counts(images);
    {
        const float* in = input.data();
        float* out = detections.mutable_data();
        int32_t* numbers = counts.mutable_data();
        const py::gil_scoped_release release;
        ops::nms(in, images, rows, nc, options, out, numbers);
    }
    return py::make_tuple(detections, counts);
}

ops::IouKind iou_kind(const std::string& kind) {
    if (kind == "iou") return ops::IouKind::kIou;
    if (kind == "giou") return ops::IouKind::kGiou;
    if (kind == "diou") return ops::IouKind::kDiou;
    if (kind == "ciou") return ops::IouKind::kCiou;
    throw bad("kind", "iou, giou, diou or ciou", kind);
}

py::array pairwise_iou(const py::object& a, const py::object& b, const std::string& kind_name) {
    const ops::IouKind kind = iou_kind(kind_name);
    const Floats first = boxes4(a, "a"), second = boxes4(b, "b");
    if (first.ndim() != 2) throw bad("a", "float32 boxes of shape [n, 4]", shape_text(first));
    if (second.ndim() != 2) throw bad("b", "float32 boxes of shape [m, 4]", shape_text(second));
    const int64_t n = first.shape(0), m = second.shape(0);
    py::array_t<float> result({n, m});
    const float *in_a = first.data(), *in_b = second.data();
    float* out = result.mutable_data();
    {
        const py::gil_scoped_release release;
        ops::pairwise_iou(in_a, n, in_b, m, kind, out);
    }
    return std::move(result);
}

// The buffers of one level's matches while their number is not known yet.
struct MatchBuffers {
    std::vector<int32_t> image, anchor, row, column, classes;
    std::vector<float> boxes;
    int64_t count = 0;

    explicit MatchBuffers(int64_t capacity)
        : image(capacity), anchor(capacity), row(capacity), column(capacity), classes(capacity), boxes(4 * capacity) {}

    ops::Matches view() {
        return {image.data(), anchor.data(), row.data(), column.data(), classes.data(), boxes.data()};
    }

    py::tuple arrays() const {
        const auto part = [this](const std::vector<int32_t>& v) { return py::array_t<int32_t>(count, v.data()); };
        const py::array_t<float> found({count, int64_t{4}}, boxes.data());
        return py::make_tuple(part(image), part(anchor), part(row), part(column), found, part(classes));
    }
};

py::list assign_targets(const py::object& labels, const py::object& counts, const py::object& anchors,
                        const std::vector<std::pair<int64_t, int64_t>>& grid_sizes, double anchor_t) {
    const Floats label_rows = floats(labels, "labels", "float32 [B, M, 5]");
    const Ints label_counts = ints(counts, "counts", "one integer an image");
    const Floats anchor_sizes = floats(anchors, "anchors", "float32 [levels, anchors, 2]");
    const ops::Labels batch = check_labels(label_rows, label_counts);
    const std::vector<ops::Level> levels = check_levels(anchor_sizes, grid_sizes, "grid_sizes");
    if (!(anchor_t > 0)) throw bad("anchor_t", "a number above 0", std::to_string(anchor_t));
    std::vector<MatchBuffers> found;
    {
        const py::gil_scoped_release release;
        for (const ops::Level& level : levels) {
            found.emplace_back(ops::assign_capacity(batch, level));
            found.back().count = ops::assign_level(batch, level, static_cast<float>(anchor_t), found.back().view());
        }
    }
    py::list result;
    for (const MatchBuffers& level : found) result.append(level.arrays());
    return result;
}

// Runs one box conversion: same shape out as in.
template <class Convert>
py::array convert(const py::object& value, const Convert& run) {
    const Floats boxes = boxes4(value, "boxes");
    py::array_t<float> result(std::vector<py::ssize_t>(boxes.shape(), boxes.shape() + boxes.ndim()));
    const float* in = boxes.data();
    float* out = result.mutable_data();
    const int64_t n = boxes.size() / 4;
    {
        const py::gil_scoped_release release;
        run(in, n, out);
    }
    return std::move(result);
}

ops::Size size_of(const Pair& size, const std::string& name) {
    if (!(size.first > 0 && size.second > 0)) {
        throw bad(name, "(height, width) above 0",
                  "(" + std::to_string(size.first) + ", " + std::to_string(size.second) + ")");
    }
    return {static_cast<float>(size.first), static_cast<float>(size.second)};
}

ops::Shift shift_of(const Pair& pad) {
    return {static_cast<float>(pad.first), static_cast<float>(pad.second)};
}

void add_boxes(py::module_& module) {
    module.def("xyxy_to_xywh", [](const py::object& boxes) { return convert(boxes, ops::xyxy_to_xywh); });
    module.def("xywh_to_xyxy", [](const py::object& boxes) { return convert(boxes, ops::xywh_to_xyxy); });
    module.def("xywhn_to_xyxy", [](const py::object& boxes, const Pair& size, const Pair& pad) {
        return convert(boxes, [s = size_of(size, "size"), p = shift_of(pad)](auto in, auto n, auto out) {
            ops::xywhn_to_xyxy(in, n, s, p, out);
        });
    });
    module.def("xyxy_to_xywhn", [](const py::object& boxes, const Pair& size) {
        return convert(boxes,
                       [s = size_of(size, "size")](auto in, auto n, auto out) { ops::xyxy_to_xywhn(in, n, s, out); });
    });
    module.def("clip_boxes", [](const py::object& boxes, const Pair& size) {
        return convert(boxes,
                       [s = size_of(size, "size")](auto in, auto n, auto out) { ops::clip_boxes(in, n, s, out); });
    });
    module.def("scale_boxes", [](const py::object& boxes, const Pair& original, const Pair& ratio, const Pair& pad) {
        const ops::Size scale = size_of(ratio, "letterbox.ratio");
        const ops::LetterboxMap map{size_of(original, "letterbox.original"), scale.height, scale.width, shift_of(pad)};
        return convert(boxes, [&map](auto in, auto n, auto out) { ops::scale_boxes(in, n, map, out); });
    });
}

}  // namespace

PYBIND11_MODULE(_C, module) {
    module.def("nms", &nms);
    module.def("pairwise_iou", &pairwise_iou);
    module.def("assign_targets", &assign_targets);
    module.def("num_threads", &ops::num_threads);
    module.def("set_num_threads", [](int threads) {
        check_count(threads, 0, "threads");
        ops::set_num_threads(threads);
    });
    add_boxes(module);
    add_training(module);
}

}  // namespace yolo::bindings
