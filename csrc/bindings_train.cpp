#include "bindings_train.h"

#include <pybind11/stl.h>

#include <cmath>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "arrays.h"
#include "checks.h"
#include "ops/loss.h"
#include "ops/update.h"

namespace yolo::bindings {
namespace {

// An array that an operator writes into: nothing may be converted, or the caller would not see the result.
float* writable(const py::object& value, const std::string& name, const std::vector<int64_t>& shape) {
    std::string expected = "a writeable, C-contiguous float32 array [";
    for (size_t i = 0; i < shape.size(); ++i) expected += (i ? ", " : "") + std::to_string(shape[i]);
    expected += "]";
    if (!py::isinstance<py::array>(value)) throw bad(name, expected, "something that is no array");
    const auto array = py::reinterpret_borrow<py::array>(value);
    if (!py::isinstance<py::array_t<float>>(value)) {
        throw bad(name, expected, "dtype " + py::str(array.dtype()).cast<std::string>());
    }
    bool same = array.ndim() == static_cast<py::ssize_t>(shape.size());
    for (size_t i = 0; same && i < shape.size(); ++i) same = array.shape(i) == shape[i];
    if (!same) throw bad(name, expected, shape_text(array));
    const int wanted = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    if ((array.flags() & wanted) != wanted) throw bad(name, expected, "strides");
    if (!array.writeable()) throw bad(name, expected, "a read-only array");
    return static_cast<float*>(const_cast<void*>(array.data()));
}

// Two of these may not share memory: threads write them at once.
class Written {
  public:
    float* add(const py::object& value, const std::string& name, const std::vector<int64_t>& shape) {
        float* const begin = writable(value, name, shape);
        int64_t size = 1;
        for (const int64_t side : shape) size *= side;
        keep_apart(begin, begin + size, name);
        ranges_.push_back({begin, begin + size, name});
        return begin;
    }

    void keep_apart(const float* begin, const float* end, const std::string& name) const {
        for (const Range& other : ranges_) {
            if (begin < other.end && other.begin < end) throw bad(name, "memory of its own", "memory of " + other.name);
        }
    }

  private:
    struct Range {
        const float *begin, *end;
        std::string name;
    };
    std::vector<Range> ranges_;
};

void check_weight(double value, const std::string& name) {
    if (!(value >= 0) || !std::isfinite(value)) throw bad(name, "a number of 0 or more", std::to_string(value));
}

// (box, obj, cls, cls_pw, obj_pw, anchor_t, fl_gamma, label_smoothing, balance)
using SettingsTuple = std::tuple<double, double, double, double, double, double, double, double, std::vector<double>>;

ops::LossSettings check_settings(const SettingsTuple& given, size_t levels) {
    const auto& [box, obj, cls, cls_pw, obj_pw, anchor_t, fl_gamma, smoothing, balance] = given;
    const std::pair<double, const char*> weights[] = {
        {box, "box"}, {obj, "obj"}, {cls, "cls"}, {cls_pw, "cls_pw"}, {obj_pw, "obj_pw"}, {fl_gamma, "fl_gamma"}};
    for (const auto& [value, name] : weights) check_weight(value, std::string("settings.") + name);
    if (!(anchor_t > 0)) throw bad("settings.anchor_t", "a number above 0", std::to_string(anchor_t));
    check_fraction(smoothing, "settings.label_smoothing");
    if (balance.size() != levels) {
        throw bad("settings.balance", std::to_string(levels) + " numbers, one a level", std::to_string(balance.size()));
    }
    for (const double value : balance) check_weight(value, "settings.balance");
    return {box, obj, cls, cls_pw, obj_pw, anchor_t, fl_gamma, smoothing, balance.data()};
}

// The heads of one call and what their shapes say.
struct Heads {
    std::vector<Floats> arrays;
    std::vector<std::pair<int64_t, int64_t>> sizes;
    int64_t images = 0, anchors = 0, classes = 0;

    explicit Heads(const std::vector<py::object>& heads) {
        const std::string expected = "float32 [B, A, 5 + nc, h, w], none of them 0, B, A and nc the same in all";
        if (heads.empty()) throw bad("heads", "one array a level", "none");
        for (const py::object& head : heads) {
            Floats array = floats(head, "heads", expected);
            if (array.ndim() != 5 || array.size() == 0 || array.shape(2) < 6) {
                throw bad("heads", expected, shape_text(array));
            }
            if (arrays.empty()) {
                images = array.shape(0), anchors = array.shape(1), classes = array.shape(2) - 5;
            } else if (array.shape(0) != images || array.shape(1) != anchors || array.shape(2) != 5 + classes) {
                throw bad("heads", expected, shape_text(array));
            }
            sizes.emplace_back(array.shape(3), array.shape(4));
            arrays.push_back(std::move(array));
        }
    }
};

void check_classes(const ops::Labels& labels, int64_t classes) {
    for (int64_t image = 0; image < labels.images; ++image) {
        for (int64_t i = 0; i < labels.counts[image]; ++i) {
            const float cls = labels.rows[(image * labels.capacity + i) * 5];
            if (classes > 1 && std::isfinite(cls) && cls >= static_cast<float>(classes)) {
                throw bad("labels", "classes below " + std::to_string(classes), std::to_string(cls));
            }
        }
    }
}

// gradients: none, or one array a head to be written.
std::vector<ops::LossLevel> levels_of(const Heads& heads, const std::vector<ops::Level>& grids,
                                      const std::optional<std::vector<py::object>>& gradients) {
    if (gradients && gradients->size() != grids.size()) {
        throw bad("gradients", std::to_string(grids.size()) + " arrays, one a head", std::to_string(gradients->size()));
    }
    Written written;
    std::vector<ops::LossLevel> levels;
    for (size_t i = 0; i < grids.size(); ++i) {
        const Floats& head = heads.arrays[i];
        levels.push_back({grids[i], head.data(), nullptr});
        if (!gradients) continue;
        const std::vector<int64_t> shape(head.shape(), head.shape() + head.ndim());
        levels.back().gradient = written.add((*gradients)[i], "gradients", shape);
    }
    for (const Floats& head : heads.arrays) written.keep_apart(head.data(), head.data() + head.size(), "heads");
    return levels;
}

py::tuple detection_loss(const std::vector<py::object>& given_heads, const py::object& given_labels,
                         const py::object& given_counts, const py::object& given_anchors,
                         const SettingsTuple& given_settings, const std::optional<std::vector<py::object>>& gradients) {
    const Heads heads(given_heads);
    const Floats rows = floats(given_labels, "labels", "float32 [B, M, 5]");
    const Ints counts = ints(given_counts, "counts", "one integer an image");
    const Floats anchors = floats(given_anchors, "anchors", "float32 [levels, anchors, 2]");
    const ops::Labels labels = check_labels(rows, counts);
    if (labels.images != heads.images) {
        throw bad("labels", "rows for " + std::to_string(heads.images) + " images", shape_text(rows));
    }
    check_classes(labels, heads.classes);
    const std::vector<ops::Level> grids = check_levels(anchors, heads.sizes, "heads");
    if (grids.front().anchors != heads.anchors) {
        throw bad("anchors", std::to_string(heads.anchors) + " anchors a level", shape_text(anchors));
    }
    const ops::LossSettings settings = check_settings(given_settings, grids.size());
    const std::vector<ops::LossLevel> levels = levels_of(heads, grids, gradients);
    py::array_t<double> terms({static_cast<int64_t>(levels.size()), ops::kLossTerms});
    py::array_t<float> parts(ops::kLossParts);
    {
        double* const out_terms = terms.mutable_data();
        float* const out_parts = parts.mutable_data();
        const py::gil_scoped_release release;
        ops::detection_loss(labels, levels.data(), levels.size(), heads.classes, settings, out_terms, out_parts);
    }
    return py::make_tuple(terms, parts);
}

ops::Optimizer optimizer_of(const std::string& name) {
    if (name == "SGD") return ops::Optimizer::kSgd;
    if (name == "Adam") return ops::Optimizer::kAdam;
    if (name == "AdamW") return ops::Optimizer::kAdamW;
    throw bad("optimizer", "SGD, Adam or AdamW", name);
}

int64_t vector_length(const py::object& value, const std::string& name) {
    const std::string expected = "a float32 vector";
    if (!py::isinstance<py::array>(value)) throw bad(name, expected, "something that is no array");
    const auto array = py::reinterpret_borrow<py::array>(value);
    if (array.ndim() != 1) throw bad(name, expected, shape_text(array));
    return array.shape(0);
}

double update_parameters(const py::object& values, const py::object& gradient, const py::object& first,
                         const py::object& second, const py::object& ema, const py::object& given_rates,
                         const std::string& optimizer_name, const std::vector<int64_t>& groups, double weight_decay) {
    const ops::Optimizer optimizer = optimizer_of(optimizer_name);
    if (groups.size() != 3) throw bad("group_sizes", "3 numbers", std::to_string(groups.size()));
    const int64_t size = vector_length(values, "values");
    int64_t parameters = 0;
    for (const int64_t group : groups) {
        if (group < 0 || group > size - parameters) {
            throw bad("group_sizes", "numbers of 0 or more that values has room for", std::to_string(group));
        }
        parameters += group;
    }
    check_weight(weight_decay, "weight_decay");
    const Floats rates = floats(given_rates, "rates", "float32 [7]");
    if (rates.ndim() != 1 || rates.shape(0) != 7) throw bad("rates", "float32 [7]", shape_text(rates));
    const float* const r = rates.data();
    Written written;
    ops::UpdateBuffers buffers;
    buffers.values = written.add(values, "values", {size});
    buffers.gradient = written.add(gradient, "gradient", {parameters});
    buffers.first = written.add(first, "first", {parameters});
    buffers.second = written.add(second, "second", {optimizer == ops::Optimizer::kSgd ? 1 : parameters});
    buffers.ema = written.add(ema, "ema", {size});
    const py::gil_scoped_release release;
    return ops::update_parameters(optimizer, buffers,
                                  {groups[0], groups[1], groups[2], size - parameters},
                                  {r[0], r[1], r[2], r[3], r[4], r[5], r[6]}, static_cast<float>(weight_decay));
}

}  // namespace

void add_training(py::module_& module) {
    module.def("detection_loss", &detection_loss);
    module.def("update_parameters", &update_parameters);
}

}  // namespace yolo::bindings
