// A network's constants on the device, shared by the executors of all input shapes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda/device.h"
#include "cuda/map.h"

namespace yolo::program::cuda {

// An order of a constant's values for the device: [groups * target, taps, source], of a constant [groups, real_target,
// real_source, taps], or, turned, [groups, real_source, real_target, taps]. What is beyond the real channels is zero.
struct Order {
    int64_t groups, target, taps, source, real_target, real_source;
    bool turned;

    // One number a channel, and zeros in lanes behind the last one.
    static Order channels(int64_t count, int64_t lanes) { return {1, lanes, 1, 1, count, 1, false}; }
    int64_t numbers() const { return groups * target * taps * source; }
    bool operator==(const Order& other) const {
        return groups == other.groups && target == other.target && taps == other.taps && source == other.source &&
               real_target == other.real_target && real_source == other.real_source && turned == other.turned;
    }
};

class Constants {
public:
    // Keep `values` under `name`, in the order of `dims` (the last one runs fastest). Of a name that is there already the
    // values are replaced, on the device too, so that executors use them from their next run on. Raises
    // std::invalid_argument where the sizes differ.
    void set(const std::string& name, std::vector<float> values, std::vector<int64_t> dims);

    // Whether there is a constant of this name and shape.
    bool has(const std::string& name, const std::vector<int64_t>& dims) const;

    // What is on the device in an order of its user's, made once for each order and type of numbers. Raises
    // std::out_of_range for an unknown name.
    std::shared_ptr<yolo::cuda::DeviceBuffer> on_device(const std::string& name, yolo::cuda::Number number,
                                                       const Order& order);

private:
    struct Copy {
        yolo::cuda::Number number;
        Order order;
        std::shared_ptr<yolo::cuda::DeviceBuffer> buffer;
    };
    struct Constant {
        std::vector<float> values;
        std::vector<int64_t> dims;
        std::vector<Copy> copies;
    };
    static void upload(const Constant& constant, const Copy& copy);
    mutable std::mutex mutex_;
    std::map<std::string, Constant> constants_;
};

}  // namespace yolo::program::cuda
