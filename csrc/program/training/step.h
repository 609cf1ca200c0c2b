// A step of a training program, and what it runs on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace yolo::program::training {

// Addresses of one run. Forward: images, values (parameters, then statistics, which are moved), heads (written).
// Backward: head_gradients, values, gradient (added to).
struct Run {
    const void* images = nullptr;
    float* values = nullptr;
    void* const* heads = nullptr;
    const void* const* head_gradients = nullptr;
    float* gradient = nullptr;
};

// What a step is and costs, for people; milliseconds and runs count while profiling.
struct StepInfo {
    std::string where;
    std::string kind;
    std::string implementation;
    double flops = 0;
    int64_t bytes = 0;
    double milliseconds = 0;
    int64_t runs = 0;
};

struct Step {
    StepInfo info;
    std::function<void(const Run&)> action;
};

}  // namespace yolo::program::training
