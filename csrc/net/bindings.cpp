#include "net/bindings.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "net/meeting.h"

namespace yolo::net {
namespace {

namespace py = pybind11;

using Sums = py::array_t<double, py::array::c_style>;
using Free = py::call_guard<py::gil_scoped_release>;

void add_up(Exchange& exchange, Sums& values) {
    double* data = values.mutable_data();
    const auto count = static_cast<size_t>(values.size());
    const py::gil_scoped_release free;
    exchange.add_up(data, count);
}

py::list tell(Exchange& exchange, const py::bytes& message) {
    const std::string own = message;
    std::vector<std::string> all;
    {
        const py::gil_scoped_release free;
        all = exchange.tell(own);
    }
    py::list result;
    for (const std::string& text : all) result.append(py::bytes(text));
    return result;
}

}  // namespace

void bind_net(py::module_& module) {
    py::class_<Exchange, std::shared_ptr<Exchange>>(module, "Exchange")
        .def("add_up", &add_up, py::arg("values").noconvert())
        .def("tell", &tell, py::arg("message"));
    py::class_<Watch, std::shared_ptr<Watch>>(module, "Watch")
        .def("advise", &Watch::advise, py::arg("advice"))
        .def("end", [](Watch& self, const std::string& reason) { self.end(reason); }, py::arg("reason"), Free())
        .def("leave", &Watch::leave, Free());
    py::class_<Meeting>(module, "Meeting")
        .def(py::init<const std::string&, int, int, int, double>(), py::arg("host"), py::arg("port"), py::arg("rank"),
             py::arg("ranks"), py::arg("seconds"), Free())
        .def("exchange", &Meeting::exchange)
        .def("watch", &Meeting::watch, py::arg("people"), py::arg("near"), py::arg("patience"));
}

}  // namespace yolo::net
