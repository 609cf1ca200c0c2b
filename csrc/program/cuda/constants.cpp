#include "program/cuda/constants.h"

#include <stdexcept>
#include <utility>

namespace yolo::program::cuda {

void Constants::set(const std::string& name, std::vector<float> values, std::vector<int64_t> dims) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Constant& constant = constants_[name];
    if (!constant.dims.empty() && constant.dims != dims) throw std::invalid_argument(name + ": has another shape");
    constant.values = std::move(values), constant.dims = std::move(dims);
    for (const Copy& copy : constant.copies) upload(constant, copy);
}

bool Constants::has(const std::string& name, const std::vector<int64_t>& dims) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = constants_.find(name);
    return found != constants_.end() && found->second.dims == dims;
}

std::shared_ptr<yolo::cuda::DeviceBuffer> Constants::on_device(const std::string& name, yolo::cuda::Number number,
                                                               const Order& order) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Constant& constant = constants_.at(name);
    for (const Copy& copy : constant.copies) {
        if (copy.number == number && copy.order == order) return copy.buffer;
    }
    const size_t bytes = static_cast<size_t>(order.numbers()) * yolo::cuda::bytes_of(number);
    constant.copies.push_back({number, order, std::make_shared<yolo::cuda::DeviceBuffer>(bytes)});
    upload(constant, constant.copies.back());
    return constant.copies.back().buffer;
}

void Constants::upload(const Constant& constant, const Copy& copy) {
    yolo::cuda::with_type(copy.number, [&](auto type) {
        const Order& o = copy.order;
        std::vector<decltype(type)> ordered(static_cast<size_t>(o.numbers()));
        for (int64_t row = 0; row < o.groups * o.real_target; ++row) {
            const int64_t group = row / o.real_target, target = row % o.real_target;
            for (int64_t source = 0; source < o.real_source; ++source) {
                const int64_t from = o.turned ? (group * o.real_source + source) * o.real_target + target
                                              : row * o.real_source + source;
                for (int64_t tap = 0; tap < o.taps; ++tap) {
                    const int64_t to = ((group * o.target + target) * o.taps + tap) * o.source + source;
                    const float value = constant.values[static_cast<size_t>(from * o.taps + tap)];
                    ordered[static_cast<size_t>(to)] = yolo::cuda::rounded<decltype(type)>(value);
                }
            }
        }
        const yolo::cuda::OwnStream stream;
        yolo::cuda::copy_in(copy.buffer->data(), ordered.data(), copy.buffer->bytes(), stream.get());
        yolo::cuda::synchronise(stream.get());
    });
}

}  // namespace yolo::program::cuda
