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

class Constants {
public:
    // Keep `values` under `name`, in the order of `dims` (the last one runs fastest). Of a name that is there already the
    // values are replaced, on the device too, so that executors use them from their next run on. Raises
    // std::invalid_argument where the sizes differ.
    void set(const std::string& name, std::vector<float> values, std::vector<int64_t> dims);

    // Whether there is a constant of this name and shape.
    bool has(const std::string& name, const std::vector<int64_t>& dims) const;

    // What is on the device in an order of its user's: element i is the constant's value number order[i], or zero where
    // that is negative. Made once for each name and number type. Raises std::out_of_range for an unknown name.
    std::shared_ptr<yolo::cuda::DeviceBuffer> on_device(const std::string& name, yolo::cuda::Number number,
                                                       const std::vector<int64_t>& order);

private:
    struct Copy {
        yolo::cuda::Number number;
        std::vector<int64_t> order;
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
