// A network's constants, packed for the kernels that use them; shared by the programs of all input shapes.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "program/common/buffer.h"
#include "program/cpu/onednn.h"
#include "program/cpu/packing.h"

namespace yolo::program {

class Weights {
public:
    // Keep `values` under `name`, in the order of `dims` (the last one runs fastest). Of a name that is there already
    // the values are replaced, in the packed copies too, so that programs use them from their next run on.
    // Raises std::invalid_argument where the sizes differ.
    void set(const std::string& name, std::vector<float> values, const dnnl::memory::dims& dims);

    // The constant laid out as `desc`; packed once for each layout. Raises std::out_of_range for an unknown name.
    // Threads may call it at the same time.
    dnnl::memory packed(const std::string& name, const dnnl::memory::desc& desc);

    // Whether a constant lies there in this layout already.
    bool is_packed(const std::string& name, const dnnl::memory::desc& desc) const;

    // The weights of a convolution in one group in a layout of our own; made once for each. Raises std::out_of_range for
    // an unknown name, and what the packing raises. Threads may call it at the same time.
    std::shared_ptr<const Buffer> packed(const std::string& name, const Packing& packing);

    // Whether they were made already.
    bool is_packed(const std::string& name, const Packing& packing) const;

    // Whether there is a constant of this name and shape.
    bool has(const std::string& name, const dnnl::memory::dims& dims) const;

private:
    struct Constant {
        std::vector<float> values;
        dnnl::memory::dims dims;
        std::vector<dnnl::memory> packed;
        std::map<const Packing*, std::shared_ptr<Buffer>> own;
    };
    static void pack(Constant& constant, dnnl::memory target);
    mutable std::mutex mutex_;
    std::map<std::string, Constant> constants_;
};

}  // namespace yolo::program
