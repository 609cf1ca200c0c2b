#include "render/bindings.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "render/renderer.h"

namespace yolo {
namespace {

namespace py = pybind11;
using namespace render;

using Array = py::array_t<uint8_t>;

constexpr int64_t kMostSide = 1 << 16;  // of a canvas or a result

Size size_of(const py::handle& value) {
    const auto [height, width] = value.cast<std::pair<int64_t, int64_t>>();
    if (height < 1 || width < 1 || height > kMostSide || width > kMostSide) {
        throw py::value_error("a size of " + std::to_string(height) + " x " + std::to_string(width) + " pixels");
    }
    return {height, width};
}

// The pixels of `array`, which must have this shape and no gaps.
const uint8_t* dense(const py::handle& array, const std::vector<py::ssize_t>& shape, const char* name) {
    if (!py::isinstance<Array>(array)) throw py::type_error(std::string(name) + ": expected an array of uint8");
    const auto bytes = py::reinterpret_borrow<Array>(array);
    const bool fits = static_cast<size_t>(bytes.ndim()) == shape.size() &&
                      std::equal(shape.begin(), shape.end(), bytes.shape()) && (bytes.flags() & py::array::c_style) != 0;
    if (!fits) throw py::value_error(std::string(name) + ": another shape than the plan's, or gaps");
    return bytes.data();
}

Tile tile_of(const py::handle& value) {
    const auto fields = value.cast<py::tuple>();
    Tile tile;
    tile.resized = size_of(fields[1]);
    tile.x = fields[2].cast<int64_t>();
    tile.y = fields[3].cast<int64_t>();
    if (py::isinstance<py::bytes>(fields[0])) {
        tile.path = fields[0].cast<std::string>();
    } else if (py::isinstance<Array>(fields[0]) && py::reinterpret_borrow<Array>(fields[0]).ndim() == 1) {
        const auto size = py::reinterpret_borrow<Array>(fields[0]).size();
        tile.content = {dense(fields[0], {size}, "content"), static_cast<size_t>(size)};
    } else {
        tile.kept = dense(fields[0], {tile.resized.height, tile.resized.width, kChannels}, "tile");
    }
    return tile;
}

View view_of(const py::handle& value) {
    const auto fields = value.cast<py::tuple>();
    View view;
    view.canvas = size_of(fields[0]);
    view.size = size_of(fields[1]);
    if (!fields[2].is_none()) view.matrix = fields[2].cast<std::array<double, 9>>();
    if (!fields[3].is_none()) view.pasted = dense(fields[3], {view.canvas.height, view.canvas.width}, "pasted");
    for (const py::handle& tile : fields[4]) view.tiles.push_back(tile_of(tile));
    if (!view.matrix && view.size != view.canvas) throw py::value_error("without a matrix the canvas is the result");
    return view;
}

Fit fit_of(const std::string& name) {
    if (name == "area") return Fit::area;
    if (name == "augmented") return Fit::augmented;
    if (name == "placed") return Fit::placed;
    throw py::value_error("a fit of " + name);
}

// Fields: planes, size, views, share, gains, flip_vertical, flip_horizontal, fit.
Sample sample_of(const py::handle& value) {
    const auto fields = value.cast<py::tuple>();
    if (!py::isinstance<Array>(fields[0])) throw py::type_error("planes: expected an array of uint8");
    auto planes = py::reinterpret_borrow<Array>(fields[0]);  // a cast would copy one of another type
    if (planes.ndim() != 3 || planes.shape(0) != kChannels || planes.strides(2) != 1 || !planes.writeable()) {
        throw py::value_error("planes: expected a writable array uint8 [3, H, W] whose rows have no gaps");
    }
    Sample sample;
    sample.size = size_of(fields[1]);
    for (const py::handle& view : fields[2]) sample.views.push_back(view_of(view));
    if (sample.views.empty() || sample.views.size() > 2) throw py::value_error("a sample has one view or two");
    for (const View& view : sample.views) {
        if (view.size != sample.size) throw py::value_error("a view has another size than its sample");
    }
    sample.share = fields[3].cast<double>();
    if (!fields[4].is_none()) sample.gains = fields[4].cast<Gains>();
    sample.flip_vertical = fields[5].cast<bool>();
    sample.flip_horizontal = fields[6].cast<bool>();
    sample.fit = fit_of(fields[7].cast<std::string>());
    sample.out = size_of(py::make_tuple(planes.shape(1), planes.shape(2)));
    sample.planes = planes.mutable_data();
    sample.plane = planes.strides(0);
    sample.row = planes.strides(1);
    return sample;
}

// The arrays stay alive: the caller holds `given`.
std::vector<std::array<int64_t, 3>> render_samples(Renderer& renderer, const py::list& given, int threads) {
    std::vector<Sample> samples;
    for (const py::handle& value : given) samples.push_back(sample_of(value));
    std::vector<std::array<int64_t, 3>> unread;
    const py::gil_scoped_release free;
    for (const Unread& one : renderer.render(samples, threads)) unread.push_back({one.sample, one.view, one.tile});
    return unread;
}

}  // namespace

void bind_render(py::module_& module) {
    py::class_<Renderer>(module, "Renderer")
        .def(py::init<const std::string&>(), py::arg("jpeg"))
        .def("render", &render_samples, py::arg("samples"), py::arg("threads"))
        .def("close", &Renderer::close);
}

}  // namespace yolo
