#include <pybind11/stl.h>

#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "cuda/arrays.h"
#include "cuda/timer.h"
#include "ops/cuda/assign.h"
#include "ops/cuda/bindings.h"
#include "ops/cuda/loss.h"

namespace yolo::ops::cuda {
namespace {

namespace py = pybind11;

using yolo::cuda::Array;
using yolo::cuda::OnDevice;
using yolo::cuda::OwnStream;
using yolo::cuda::Stream;
using yolo::cuda::Timer;

using Shape = std::vector<py::ssize_t>;
using Grid = std::pair<int64_t, int64_t>;  // height, width

template <class T>
using Kept = std::vector<std::unique_ptr<OnDevice<T>>>;

// Labels and anchors on the device. anchors: one [A, 2] in cells a level.
struct Given {
    OwnStream own;
    yolo::cuda::Stream stream = own.get();
    OnDevice<float> rows;
    OnDevice<int32_t> counts;
    Labels labels;
    Kept<float> anchors;
    std::vector<Level> grids;

    Given(const Array<float>& label_rows, const Array<int32_t>& label_counts, const std::vector<Array<float>>& sizes,
          const std::vector<Grid>& shapes)
        : rows(label_rows, stream), counts(label_counts, stream),
          labels{rows.data(), counts.data(), label_rows.shape(0), label_rows.shape(1)} {
        if (label_rows.ndim() != 3 || label_rows.shape(2) != 5 || label_counts.size() != label_rows.shape(0) ||
            sizes.size() != shapes.size()) {
            throw py::value_error("arrays that do not fit one another");
        }
        for (size_t i = 0; i < sizes.size(); ++i) {
            anchors.push_back(std::make_unique<OnDevice<float>>(sizes[i], stream));
            grids.push_back({anchors.back()->data(), sizes[i].shape(0), shapes[i].first, shapes[i].second});
        }
    }
    int64_t levels() const { return static_cast<int64_t>(grids.size()); }
};

// Of each level int32 [matches, 7]: image, anchor, row, column, label, then the place among its item's matches of the
// one before it in the cell (-1: none) and whether there is one after it.
py::list assigned(const Array<float>& rows, const Array<int32_t>& counts, const std::vector<Array<float>>& anchors,
                  const std::vector<Grid>& shapes, double anchor_t, Timer* timer) {
    const Given given(rows, counts, anchors, shapes);
    const Items items(given.grids.data(), given.levels(), given.labels.images);
    Scratch needed(nullptr);
    match_lists(needed, items.total(), given.labels.capacity);
    const OnDevice<int32_t> memory(needed.used() / sizeof(int32_t), given.stream);
    Scratch scratch(reinterpret_cast<std::byte*>(memory.data()));
    const MatchLists lists = match_lists(scratch, items.total(), given.labels.capacity);
    yolo::cuda::give([&](Stream to) { assign(given.labels, items, anchor_t, lists, to); }, given.stream, timer);
    std::vector<int32_t> all(needed.used() / sizeof(int32_t));
    memory.read(all.data());
    const auto read = [&](const int32_t* list, int64_t place) {
        return all[static_cast<size_t>(list - memory.data() + place)];
    };
    py::list found;
    for (int64_t level = 0; level < items.count; ++level) {
        const Level& grid = given.grids[static_cast<size_t>(level)];
        std::vector<int32_t> numbers;
        for (int64_t item = items.first[level]; item < items.first[level + 1]; ++item) {
            for (int64_t i = item * lists.room; i < item * lists.room + read(lists.counts, item); ++i) {
                const auto width = static_cast<int32_t>(grid.width), cell = read(lists.cells, i);
                const auto anchor = static_cast<int32_t>((item - items.first[level]) % grid.anchors);
                for (const int32_t number : {static_cast<int32_t>(items.image_of(item, level)), anchor, cell / width,
                                             cell % width, read(lists.labels, i), read(lists.previous, i),
                                             read(lists.followed, i)}) {
                    numbers.push_back(number);
                }
            }
        }
        const auto matches = static_cast<py::ssize_t>(numbers.size()) / 7;
        found.append(py::array_t<int32_t>({matches, py::ssize_t{7}}, numbers.data()));
    }
    return found;
}

py::array_t<double> counted(const Array<float>& rows, const Array<int32_t>& counts,
                            const std::vector<Array<float>>& anchors, const std::vector<Grid>& shapes,
                            double anchor_t) {
    const Given given(rows, counts, anchors, shapes);
    const OnDevice<double> matches(given.grids.size(), given.stream);
    count_matches(given.labels, Items(given.grids.data(), given.levels(), given.labels.images), anchor_t,
                  matches.data(), given.stream);
    return matches.array(Shape{static_cast<py::ssize_t>(given.grids.size())});
}

LossSettings settings_of(const py::dict& given) {
    const auto number = [&](const char* name) { return given[name].cast<double>(); };
    return {number("box"),      number("obj"),      number("cls"),
            number("cls_pw"),   number("obj_pw"),   number("anchor_t"),
            number("fl_gamma"), number("label_smoothing"), given["balance"].cast<std::vector<double>>()};
}

// (terms, parts, gradients) of heads [B, A, 5 + classes, h, w]; NaN is where nothing was written. No gradients: None.
py::tuple loss(const std::vector<Array<float>>& heads, const Array<float>& rows, const Array<int32_t>& counts,
               const std::vector<Array<float>>& anchors, const py::dict& settings,
               const std::optional<Array<double>>& matches, int64_t parts, std::optional<float> slope_scale,
               bool gradients, Timer* timer) {
    std::vector<Grid> shapes;
    for (const Array<float>& head : heads) shapes.emplace_back(head.shape(3), head.shape(4));
    const Given given(rows, counts, anchors, shapes);
    Kept<float> inputs, slopes;
    std::vector<LossLevel> levels;
    for (size_t i = 0; i < heads.size(); ++i) {
        Array<float> unwritten(Shape(heads[i].shape(), heads[i].shape() + heads[i].ndim()));
        std::fill_n(unwritten.mutable_data(), unwritten.size(), std::nanf(""));
        inputs.push_back(std::make_unique<OnDevice<float>>(heads[i], given.stream));
        slopes.push_back(std::make_unique<OnDevice<float>>(unwritten, given.stream));
        levels.push_back({given.grids[i], inputs.back()->data(), gradients ? slopes.back()->data() : nullptr});
    }
    const int64_t images = given.labels.images, places = given.labels.capacity;
    const size_t bytes = loss_scratch_bytes(images, places, levels.data(), given.levels());
    Array<uint8_t> anything(static_cast<py::ssize_t>(bytes));
    std::fill_n(anything.mutable_data(), bytes, uint8_t{0xff});
    const OnDevice<uint8_t> scratch(anything, given.stream);
    const OnDevice<double> terms(heads.size() * kLossTerms, given.stream);
    const OnDevice<double> all(matches ? *matches : Array<double>(Shape{0}), given.stream);
    const OnDevice<float> sums(kLossParts, given.stream);
    Array<float> factor(1);
    *factor.mutable_data() = slope_scale.value_or(0);
    const OnDevice<float> scale(factor, given.stream);
    const LossSettings recipe = settings_of(settings);
    const auto work = [&](Stream to) {
        detection_loss(given.labels, levels.data(), given.levels(), heads[0].shape(2) - 5, recipe, terms.data(),
                       sums.data(), reinterpret_cast<std::byte*>(scratch.data()), to,
                       {parts, matches ? all.data() : nullptr}, slope_scale ? scale.data() : nullptr);
    };
    yolo::cuda::give(work, given.stream, timer);
    py::list found;
    for (size_t i = 0; gradients && i < heads.size(); ++i) {
        found.append(slopes[i]->array(Shape(heads[i].shape(), heads[i].shape() + heads[i].ndim())));
    }
    return py::make_tuple(terms.array(Shape{static_cast<py::ssize_t>(heads.size()), kLossTerms}),
                          sums.array(Shape{kLossParts}), gradients ? py::object(found) : py::none());
}

}  // namespace

void bind_loss(py::module_& module) {
    const auto timer = py::arg("timer") = py::none();
    module.def("assign", &assigned, py::arg("labels"), py::arg("counts"), py::arg("anchors"), py::arg("grids"),
               py::arg("anchor_t"), timer);
    module.def("count_matches", &counted, py::arg("labels"), py::arg("counts"), py::arg("anchors"), py::arg("grids"),
               py::arg("anchor_t"));
    module.def("detection_loss", &loss, py::arg("heads"), py::arg("labels"), py::arg("counts"), py::arg("anchors"),
               py::arg("settings"), py::kw_only(), py::arg("matches") = py::none(), py::arg("parts") = 1,
               py::arg("slope_scale") = py::none(), py::arg("gradients") = true, timer);
}

}  // namespace yolo::ops::cuda
