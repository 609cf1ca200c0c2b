// Operators and steps that are run under a sanitizer, each by a file of its own group.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "cuda/map.h"

namespace yolo::cuda::races {

// The memory of one case: arrays of exactly the bytes that were asked for, aligned to 256 bytes, which stay until the
// case is done. What random numbers are in them depends on the order of the calls alone.
class Memory {
public:
    // Between two numbers.
    float number(float least, float most) {
        seed_ = seed_ * 1664525u + 1013904223u;
        return least + (most - least) * static_cast<float>(seed_ >> 8) * 0x1p-24f;
    }
    int64_t below(int64_t count) { return static_cast<int64_t>(number(0.0f, 0.999f) * static_cast<float>(count)); }
    // Zeros.
    template <class T>
    T* take(int64_t count) {
        return reinterpret_cast<T*>(take(static_cast<size_t>(count) * sizeof(T), 0, true));
    }
    template <class T>
    T* copy(const std::vector<T>& values) {
        T* const made = take<T>(static_cast<int64_t>(values.size()));
        for (size_t i = 0; i < values.size(); ++i) made[i] = values[i];
        return made;
    }
    float* numbers(int64_t count, float least = -1.0f, float most = 1.0f) {
        float* const made = take<float>(count);
        for (int64_t i = 0; i < count; ++i) made[i] = number(least, most);
        return made;
    }
    // Anything is in it, and it is no result.
    std::byte* scratch(size_t bytes) { return take(bytes, 0xff, false); }
    // A map of random numbers, zeros behind its last channel, with `more` other numbers behind its lanes in each pixel.
    Map map(Number number, int64_t images, int64_t height, int64_t width, int64_t channels, int64_t more = 0);
    // Another one of its shape.
    Map like(const Map& other) {
        return map(other.number, other.images, other.height, other.width, other.channels, other.pitch - other.lanes());
    }
    // A number for everything that is in the arrays.
    uint64_t digest() const;

private:
    static constexpr size_t kAlignment = 256;
    struct Free {
        void operator()(std::byte* data) const { ::operator delete(data, std::align_val_t{kAlignment}); }
    };
    struct Piece {
        std::unique_ptr<std::byte, Free> data;
        size_t bytes;
        bool result;
    };
    std::byte* take(size_t bytes, int filled, bool result);

    uint32_t seed_ = 20;
    std::vector<Piece> pieces_;
};

struct Case {
    std::string name;
    std::function<void(Memory&)> run;
};

// Those of the linked files.
std::vector<Case>& cases();

struct Register {
    Register(const char* name, const std::function<void(Memory&)>& run) { cases().push_back({name, run}); }
};

constexpr Number kNumbers[] = {Number::float32, Number::bfloat16, Number::float16};

}  // namespace yolo::cuda::races
