#include "program/cpu/weights.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace yolo::program {

using dnnl::memory;

namespace {

memory::desc dense(const memory::dims& dims) {
    memory::dims strides(dims.size(), 1);
    for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
    return {dims, memory::data_type::f32, strides};
}

}  // namespace

void Weights::set(const std::string& name, std::vector<float> values, const memory::dims& dims) {
    const std::lock_guard<std::mutex> lock(mutex_);
    int64_t count = 1;
    for (const int64_t side : dims) count *= side;
    if (count != static_cast<int64_t>(values.size())) throw std::invalid_argument(name + ": values and shape differ");
    Constant& constant = constants_[name];
    const bool in_use = !constant.packed.empty() || !constant.own.empty();
    if (in_use && constant.dims != dims) throw std::invalid_argument(name + ": another shape");
    constant.values = std::move(values);
    constant.dims = dims;
    for (const memory& copy : constant.packed) pack(constant, copy);
    for (const auto& [packing, copy] : constant.own) packing->pack(constant.values, dims, channel_block(), copy->data());
}

void Weights::pack(Constant& constant, memory target) {
    memory source(dense(constant.dims), engine(), constant.values.data());
    dnnl::stream stream(engine());
    dnnl::reorder(source, target).execute(stream, source, target);
    stream.wait();
}

bool Weights::is_packed(const std::string& name, const memory::desc& desc) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = constants_.find(name);
    if (found == constants_.end()) return false;
    const auto& copies = found->second.packed;
    return std::any_of(copies.begin(), copies.end(), [&](const memory& copy) { return copy.get_desc() == desc; });
}

bool Weights::has(const std::string& name, const memory::dims& dims) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = constants_.find(name);
    return found != constants_.end() && found->second.dims == dims;
}

memory Weights::packed(const std::string& name, const memory::desc& desc) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Constant& constant = constants_.at(name);
    for (const memory& copy : constant.packed) {
        if (copy.get_desc() == desc) return copy;
    }
    memory target(desc, engine());
    pack(constant, target);
    constant.packed.push_back(target);
    return target;
}

bool Weights::is_packed(const std::string& name, const Packing& packing) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = constants_.find(name);
    return found != constants_.end() && found->second.own.count(&packing) != 0;
}

std::shared_ptr<const Buffer> Weights::packed(const std::string& name, const Packing& packing) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Constant& constant = constants_.at(name);
    const auto found = constant.own.find(&packing);
    if (found != constant.own.end()) return found->second;
    const auto made = std::make_shared<Buffer>(packing.bytes(constant.dims, channel_block()));
    packing.pack(constant.values, constant.dims, channel_block(), made->data());
    constant.own[&packing] = made;
    return made;
}

}  // namespace yolo::program
