#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <utility>

#include "bindings.h"
#include "net/exchange.h"
#include "net/watch.h"

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

py::list tell(Exchange& exchange, const py::bytes& message, size_t most) {
    const std::string own = message;
    std::vector<std::string> all;
    {
        const py::gil_scoped_release free;
        all = exchange.tell(own, most);
    }
    py::list result;
    for (const std::string& text : all) result.append(py::bytes(text));
    return result;
}

// Descriptors, of which each now has an owner here.
std::vector<Socket> owned(const std::vector<int>& descriptors) {
    std::vector<Socket> sockets;
    for (const int descriptor : descriptors) sockets.emplace_back(descriptor);
    return sockets;
}

std::shared_ptr<Exchange> make_exchange(int rank, int ranks, const std::vector<int>& peers) {
    return std::make_shared<Exchange>(rank, ranks, owned(peers));
}

std::shared_ptr<Watch> make_watch(int rank, const std::vector<int>& peers, std::vector<std::string> people,
                                  const std::vector<std::pair<int, uint64_t>>& near, double patience) {
    std::vector<Process> processes;
    for (const auto& [number, start] : near) processes.push_back({number, start});
    return std::make_shared<Watch>(rank, owned(peers), std::move(people), std::move(processes), patience);
}

}  // namespace

void bind_net(py::module_& module) {
    py::class_<Exchange, std::shared_ptr<Exchange>>(module, "Exchange")
        .def(py::init(&make_exchange), py::arg("rank"), py::arg("ranks"), py::arg("peers"))
        .def("add_up", &add_up, py::arg("values").noconvert())
        .def("limit", &Exchange::limit, py::arg("seconds"))
        .def("tell", &tell, py::arg("message"), py::arg("most"));
    py::class_<Watch, std::shared_ptr<Watch>>(module, "Watch")
        .def(py::init(&make_watch), py::arg("rank"), py::arg("peers"), py::arg("people"), py::arg("near"),
             py::arg("patience"))
        .def("advise", &Watch::advise, py::arg("advice"))
        .def("limit", &Watch::limit, py::arg("seconds"), py::arg("reason"), Free())
        .def("end", [](Watch& self, const std::string& reason) { self.end(reason); }, py::arg("reason"), Free())
        .def("leave", &Watch::leave, Free());
}

}  // namespace yolo::net
