// What a step is and what it costs, human-readable.
#pragma once

#include <cstdint>
#include <string>

namespace yolo::program {

// `implementation`: the kernel that was chosen; `flops`: of the step as it is defined; `executed`: of the products that the
// kernel's algorithm does for them, where those are fewer, else 0; milliseconds and runs count while profiling.
struct StepInfo {
    std::string kind;
    std::string where;
    std::string implementation;
    double flops = 0.0;
    int64_t bytes = 0;
    double milliseconds = 0.0;
    int64_t runs = 0;
    double executed = 0.0;
};

}  // namespace yolo::program
