#include "program/cuda/weights.h"

#include "cuda/kernel.h"

namespace yolo::program::cuda {
namespace {

using yolo::cuda::Block;

// Where weights with rising numbers lie in their vector.
class Cursor {
public:
    YOLO_DEVICE Cursor(const int64_t* table, int64_t first) : at_(table) { (*this)(first); }
    YOLO_DEVICE int64_t operator()(int64_t number) {
        while (number >= at_[0]) at_ += 2;
        return number + at_[1];
    }

private:
    const int64_t* at_;
};

// A block has one output channel: the rows that it reads and writes stay in its cache, where one side is transposed.
template <class T>
struct PackChannel {
    static constexpr int kThreads = 256;
    const float* values;
    const int64_t* table;
    WeightShape shape;
    T* packed;

    YOLO_DEVICE void operator()(const Block& block) const {
        const int64_t out = block.index();
        const auto lanes = static_cast<uint32_t>(shape.in_lanes), count = static_cast<uint32_t>(shape.taps) * lanes;
        T* const to = packed + out * count;
        const Cursor start(table, out < shape.out ? out * shape.in * shape.taps : 0);
        for (auto i = static_cast<uint32_t>(block.thread()); i < count; i += kThreads) {
            const uint32_t tap = i / lanes, in = i - tap * lanes;
            float value = 0.0f;
            if (out < shape.out && in < shape.in) {
                Cursor place = start;
                value = values[place((out * shape.in + in) * shape.taps + tap)];
            }
            to[i] = yolo::cuda::rounded<T>(value);
        }
    }
};

struct AddChannel {
    static constexpr int kThreads = 256;
    const float* packed;
    const int64_t* table;
    WeightShape shape;
    float* gradient;

    YOLO_DEVICE void operator()(const Block& block) const {
        const int64_t out = block.index();
        const auto taps = static_cast<uint32_t>(shape.taps), count = taps * static_cast<uint32_t>(shape.in);
        const float* const from = packed + out * shape.taps * shape.in_lanes;
        const int64_t first = out * count;
        Cursor place(table, first);
        for (auto i = static_cast<uint32_t>(block.thread()); i < count; i += kThreads) {
            const uint32_t in = i / taps, tap = i - in * taps;
            gradient[place(first + i)] += from[tap * shape.in_lanes + in];
        }
    }
};

}  // namespace

std::vector<int64_t> pieces_of(const std::vector<int64_t>& pairs) {
    std::vector<int64_t> table;
    int64_t end = 0;
    for (size_t i = 0; i + 1 < pairs.size(); i += 2) {
        table.push_back(end + pairs[i + 1]);
        table.push_back(pairs[i] - end);
        end += pairs[i + 1];
    }
    return table;
}

void pack_weights(const float* values, const int64_t* pieces, const WeightShape& shape, yolo::cuda::Number number,
                  void* packed, yolo::cuda::Stream stream) {
    yolo::cuda::with_type(number, [&](auto type) {
        using T = decltype(type);
        yolo::cuda::blocks(stream, shape.out_lanes, 0,
                           PackChannel<T>{values, pieces, shape, static_cast<T*>(packed)});
    });
}

void add_weight_gradient(const float* packed, const int64_t* pieces, const WeightShape& shape, float* gradient,
                         yolo::cuda::Stream stream) {
    yolo::cuda::blocks(stream, shape.out, 0, AddChannel{packed, pieces, shape, gradient});
}

}  // namespace yolo::program::cuda
