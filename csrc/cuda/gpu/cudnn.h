// cuDNN 9's graph interface, as far as convolutions need it. The library is found by name when it is first needed, so
// that no build needs it: its numbers below are those of its header cudnn_graph.h (tests/cuda/test_cudnn_numbers.py
// compares them with that of the installed version).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cuda/device.h"

struct cudnnContext;

namespace yolo::cuda::cudnn {

enum DescriptorType : int {
    CUDNN_BACKEND_POINTWISE_DESCRIPTOR = 0,
    CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR = 1,
    CUDNN_BACKEND_ENGINE_DESCRIPTOR = 2,
    CUDNN_BACKEND_ENGINECFG_DESCRIPTOR = 3,
    CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR = 4,
    CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR = 5,
    CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR = 10,
    CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR = 11,
    CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR = 12,
    CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR = 13,
    CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR = 15,
    CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR = 16,
    CUDNN_BACKEND_TENSOR_DESCRIPTOR = 17,
    CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR = 38,
};

enum Attribute : int {
    CUDNN_ATTR_POINTWISE_MODE = 0,
    CUDNN_ATTR_POINTWISE_MATH_PREC = 1,
    CUDNN_ATTR_CONVOLUTION_COMP_TYPE = 100,
    CUDNN_ATTR_CONVOLUTION_CONV_MODE = 101,
    CUDNN_ATTR_CONVOLUTION_DILATIONS = 102,
    CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES = 103,
    CUDNN_ATTR_CONVOLUTION_POST_PADDINGS = 104,
    CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS = 105,
    CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS = 106,
    CUDNN_ATTR_ENGINEHEUR_MODE = 200,
    CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH = 201,
    CUDNN_ATTR_ENGINEHEUR_RESULTS = 202,
    CUDNN_ATTR_ENGINEHEUR_DEVICEPROP = 204,
    CUDNN_ATTR_ENGINECFG_ENGINE = 300,
    CUDNN_ATTR_EXECUTION_PLAN_HANDLE = 400,
    CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG = 401,
    CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE = 402,
    CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION = 405,
    CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP = 407,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA = 700,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA = 701,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC = 702,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W = 703,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X = 704,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y = 705,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA = 706,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA = 707,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC = 708,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W = 709,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX = 710,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY = 711,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA = 712,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA = 713,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC = 714,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW = 715,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X = 716,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY = 717,
    CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR = 750,
    CUDNN_ATTR_OPERATION_POINTWISE_XDESC = 751,
    CUDNN_ATTR_OPERATION_POINTWISE_BDESC = 752,
    CUDNN_ATTR_OPERATION_POINTWISE_YDESC = 753,
    CUDNN_ATTR_OPERATIONGRAPH_HANDLE = 800,
    CUDNN_ATTR_OPERATIONGRAPH_OPS = 801,
    CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT = 900,
    CUDNN_ATTR_TENSOR_DATA_TYPE = 901,
    CUDNN_ATTR_TENSOR_DIMENSIONS = 902,
    CUDNN_ATTR_TENSOR_STRIDES = 903,
    CUDNN_ATTR_TENSOR_UNIQUE_ID = 906,
    CUDNN_ATTR_TENSOR_IS_VIRTUAL = 907,
    CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS = 1000,
    CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS = 1001,
    CUDNN_ATTR_VARIANT_PACK_WORKSPACE = 1003,
    CUDNN_ATTR_ENGINE_GLOBAL_INDEX = 1301,
    CUDNN_ATTR_ENGINE_NUMERICAL_NOTE = 1303,
    CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION = 2702,
};

enum AttributeType : int {
    CUDNN_TYPE_HANDLE = 0,
    CUDNN_TYPE_DATA_TYPE = 1,
    CUDNN_TYPE_BOOLEAN = 2,
    CUDNN_TYPE_INT64 = 3,
    CUDNN_TYPE_FLOAT = 4,
    CUDNN_TYPE_VOID_PTR = 6,
    CUDNN_TYPE_CONVOLUTION_MODE = 7,
    CUDNN_TYPE_HEUR_MODE = 8,
    CUDNN_TYPE_NUMERICAL_NOTE = 11,
    CUDNN_TYPE_POINTWISE_MODE = 14,
    CUDNN_TYPE_BACKEND_DESCRIPTOR = 15,
    CUDNN_TYPE_CHAR = 24,
};

enum DataType : int { CUDNN_DATA_FLOAT = 0, CUDNN_DATA_HALF = 2, CUDNN_DATA_BFLOAT16 = 9 };
enum ConvolutionMode : int { CUDNN_CROSS_CORRELATION = 1 };
enum HeurMode : int { CUDNN_HEUR_MODE_B = 1, CUDNN_HEUR_MODE_FALLBACK = 2, CUDNN_HEUR_MODE_A = 3 };

enum PointwiseMode : int {
    CUDNN_POINTWISE_ADD = 0,
    CUDNN_POINTWISE_RELU_FWD = 100,
    CUDNN_POINTWISE_TANH_FWD = 101,
    CUDNN_POINTWISE_SIGMOID_FWD = 102,
    CUDNN_POINTWISE_GELU_FWD = 104,
    CUDNN_POINTWISE_SWISH_FWD = 106,
};

enum NumericalNote : int {
    CUDNN_NUMERICAL_NOTE_TENSOR_CORE = 0,
    CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS = 1,
    CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION = 2,
    CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC = 4,
    CUDNN_NUMERICAL_NOTE_WINOGRAD = 5,
};

// What it refuses, and why. Often that only says that another engine is to be asked.
struct Refusal : DeviceError {
    using DeviceError::DeviceError;
};

using Handle = cudnnContext*;

class Descriptor;

// The library, and what it works for in this process: the GPU that is there, or one that is only described. Everything
// raises DeviceError.
class Library {
public:
    // The library, which the first call loads: from `folder` if that is not empty, else where the loader finds it.
    // `device`: a description as cuDNN has it (JSON), for which plans can be made, but not run; "": the GPU.
    static const Library& load(const std::string& folder, const std::string& device);
    // The loaded one.
    static const Library& get();
    ~Library();

    // Null for a described device.
    Handle handle() const { return handle_; }
    // Null for the GPU.
    const Descriptor* described() const { return described_.get(); }
    // 92801 for 9.28.1.
    size_t version() const { return version_(); }
    // Gives a finished plan's work to a stream. By any thread.
    void execute(void* plan, void* variant_pack, Stream stream) const;

private:
    friend class Descriptor;
    explicit Library(const std::string& folder);
    void start(const std::string& device);
    void check(int status, const char* trying) const;
    template <class Function>
    void find(Function& function, const char* name) const;

    void* library_;
    Handle handle_ = nullptr;
    std::unique_ptr<Descriptor> described_;
    size_t (*version_)();
    const char* (*error_string_)(int status);
    void (*last_error_)(char* message, size_t bytes);
    int (*create_)(Handle* handle);
    int (*set_stream_)(Handle handle, Stream stream);
    int (*create_descriptor_)(int type, void** descriptor);
    int (*destroy_descriptor_)(void* descriptor);
    int (*finalise_)(void* descriptor);
    int (*set_)(void* descriptor, int name, int type, int64_t count, const void* values);
    int (*get_)(const void* descriptor, int name, int type, int64_t most, int64_t* count, void* values);
    int (*execute_)(Handle handle, void* plan, void* variant_pack);
};

// One of cuDNN's objects. Attributes are set, then it is finished; only then it may be read or used. Raises Refusal.
class Descriptor {
public:
    explicit Descriptor(DescriptorType type);
    ~Descriptor();
    Descriptor(Descriptor&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    Descriptor& operator=(Descriptor&& other) noexcept;

    void* raw() const { return raw_; }
    Descriptor& set(Attribute name, AttributeType type, int64_t count, const void* values);
    Descriptor& set(Attribute name, AttributeType type, int value) { return set(name, type, 1, &value); }
    Descriptor& set(Attribute name, int64_t value) { return set(name, CUDNN_TYPE_INT64, 1, &value); }
    Descriptor& set(Attribute name, float value) { return set(name, CUDNN_TYPE_FLOAT, 1, &value); }
    Descriptor& set(Attribute name, bool value) { return set(name, CUDNN_TYPE_BOOLEAN, 1, &value); }
    Descriptor& set(Attribute name, Handle value) { return set(name, CUDNN_TYPE_HANDLE, 1, &value); }
    Descriptor& set(Attribute name, const std::vector<int64_t>& values);
    Descriptor& set(Attribute name, const Descriptor& other);
    Descriptor& finish();

    int64_t number(Attribute name) const;
    // How many values an attribute has.
    int64_t count(Attribute name, AttributeType type) const;
    // Reads at most `most` values, and returns how many there were.
    int64_t read(Attribute name, AttributeType type, int64_t most, void* values) const;

private:
    void* raw_ = nullptr;
};

}  // namespace yolo::cuda::cudnn
