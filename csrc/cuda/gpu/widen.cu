#include "cuda/gpu/widen.h"

#include "cuda/kernel.h"

namespace yolo::cuda {
namespace {

template <class T>
struct Widen {
    const T* from;
    float* to;
    YOLO_DEVICE void operator()(int64_t i) const { to[i] = to_float(from[i]); }
};

}  // namespace

void widen(const void* from, Number number, float* to, int64_t count, Stream stream) {
    with_type(number, [&](auto type) {
        using T = decltype(type);
        each(stream, count, Widen<T>{static_cast<const T*>(from), to});
    });
}

}  // namespace yolo::cuda
