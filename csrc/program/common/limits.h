// What a program may take of the machine.
#pragma once

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

namespace yolo::program {

// memory: bytes of everything that it allocates; work: operations an image (a pass over the batch, in training).
struct Limits {
    int64_t memory = std::numeric_limits<int64_t>::max();
    double work = 1e15;
};

// What a program has taken of them so far. Both raise std::invalid_argument: "<where>: <what is wrong>".
class Budget {
public:
    explicit Budget(const Limits& limits) : limits_(limits) {}
    void take(const std::string& where, double bytes) {
        bytes_ += bytes;
        if (bytes_ > static_cast<double>(limits_.memory)) {
            throw std::invalid_argument(where + ": needs more memory than there is");
        }
    }
    void spend(const std::string& where, double operations) {
        operations_ += operations;
        if (!(operations_ <= limits_.work)) {
            throw std::invalid_argument(where + ": with the steps before it has more work than any detector");
        }
    }

private:
    Limits limits_;
    double bytes_ = 0.0, operations_ = 0.0;
};

}  // namespace yolo::program
