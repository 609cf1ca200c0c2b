// Compiled once for each instruction set: YOLO_KERNELS names the namespace, YOLO_LANES is the width of a channel block.
#include "program/kernels/kernels.h"

#include "program/kernels/activations.h"
#include "program/kernels/amx.h"
#include "program/kernels/amx_gradient.h"
#include "program/kernels/int8.h"
#include "program/kernels/int8_winograd.h"
#include "program/kernels/planes.h"
#include "program/kernels/rows.h"
#include "program/kernels/winograd.h"
#include "program/kernels/winograd_gradient.h"
#include "program/kernels/winograd_spread.h"

namespace {

using namespace yolo::program;

void add_to(double* total, Floats x) {
    for (int64_t i = 0; i < V; ++i) total[i] += x[i];
}

// Around the run's own mean, which is in the first-level cache still: no digits are lost where the mean is far from 0.
template <class T>
void moments(const void* x, int64_t count, double* sum, double* squares) {
    Floats s[4] = {}, d[4] = {}, q[4] = {};
    for (int64_t p = 0; p < count; ++p) s[p & 3] += load<T>(x, p);
    const Floats mean = ((s[0] + s[1]) + (s[2] + s[3])) / static_cast<float>(count);
    for (int64_t p = 0; p < count; ++p) {
        const Floats e = load<T>(x, p) - mean;
        d[p & 3] += e;
        q[p & 3] += e * e;
    }
    const Floats rest = (d[0] + d[1]) + (d[2] + d[3]), square = (q[0] + q[1]) + (q[2] + q[3]);
    const double n = static_cast<double>(count);
    for (int64_t i = 0; i < V; ++i) {
        const double m = mean[i], r = rest[i];
        sum[i] += n * m + r;
        squares[i] += square[i] + 2.0 * m * r + n * m * m;
    }
}

template <class T, Function C>
void activate_as(const void* x, const Affine& u, float value, const void* residual, void* out, int64_t count) {
    const Floats centre = load(u.centre), scale = load(u.scale), shift = load(u.shift);
    if (residual == nullptr) {
        for (int64_t p = 0; p < count; ++p) {
            save<T>(out, p, apply<C, T>((load<T>(x, p) - centre) * scale + shift, value));
        }
        return;
    }
    for (int64_t p = 0; p < count; ++p) {
        save<T>(out, p, apply<C, T>((load<T>(x, p) - centre) * scale + shift, value) + load<T>(residual, p));
    }
}

template <class T, class G, Function C>
void grad_sums_as(const void* x, const void* gradient, const Affine& u, float value, int64_t count, double* sum,
                   double* products) {
    const Floats centre = load(u.centre), scale = load(u.scale), shift = load(u.shift);
    Floats s[2] = {}, q[2] = {};
    for (int64_t p = 0; p < count; ++p) {
        const Floats from_centre = load<T>(x, p) - centre;
        const Floats grad = load<G>(gradient, p) * grad_at<C, T>(from_centre * scale + shift, value);
        s[p & 1] += grad;
        q[p & 1] += grad * from_centre;
    }
    add_to(sum, s[0] + s[1]);
    add_to(products, q[0] + q[1]);
}

template <class T, class G, Function C>
void grad_as(const void* x, const void* gradient, const Affine& u, float value, const float* along_,
              const float* level_, void* out, int64_t count) {
    const Floats centre = load(u.centre), scale = load(u.scale), shift = load(u.shift);
    const Floats along = load(along_), level = load(level_);
    for (int64_t p = 0; p < count; ++p) {
        const Floats from_centre = load<T>(x, p) - centre;
        const Floats grad = load<G>(gradient, p) * grad_at<C, T>(from_centre * scale + shift, value);
        save<T>(out, p, grad * scale + (from_centre * along + level));
    }
}

template <class T>
void activate(const void* x, const Affine& u, const Activation& f, const void* residual, void* out, int64_t count) {
#define YOLO_CALL(C) activate_as<T, C>(x, u, f.value, residual, out, count)
    YOLO_FOR_FUNCTION(f, YOLO_CALL)
#undef YOLO_CALL
}

template <class T, class G>
void grad_sums(const void* x, const void* gradient, const Affine& u, const Activation& f, int64_t count,
                double* sum, double* products) {
#define YOLO_CALL(C) grad_sums_as<T, G, C>(x, gradient, u, f.value, count, sum, products)
    YOLO_FOR_FUNCTION(f, YOLO_CALL)
#undef YOLO_CALL
}

template <class T, class G>
void grad(const void* x, const void* gradient, const Affine& u, const Activation& f, const float* along,
           const float* level, void* out, int64_t count) {
#define YOLO_CALL(C) grad_as<T, G, C>(x, gradient, u, f.value, along, level, out, count)
    YOLO_FOR_FUNCTION(f, YOLO_CALL)
#undef YOLO_CALL
}

template <class T>
void add(const void* const* sources, int64_t number, float* out, int64_t count) {
    if (number == 2) {
        for (int64_t p = 0; p < count; ++p) save(out + p * V, load<T>(sources[0], p) + load<T>(sources[1], p));
        return;
    }
    for (int64_t p = 0; p < count; ++p) {
        Floats sum = load<T>(sources[0], p);
        for (int64_t k = 1; k < number; ++k) sum += load<T>(sources[k], p);
        save(out + p * V, sum);
    }
}

template <class T>
void store(const float* from, void* to, int64_t count) {
    for (int64_t p = 0; p < count; ++p) save<T>(to, p, load<Float32>(from, p));
}

// A loop that the compiler makes vectors of: better ones than of a conversion of eight bytes as a vector.
void divided(const uint8_t* bytes, int64_t count, float divisor, float* out) {
    for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(bytes[i]) / divisor;
}

template <class T>
void pixels(const uint8_t* bytes, int64_t count, float divisor, void* out);

template <>
void pixels<Float32>(const uint8_t* bytes, int64_t count, float divisor, void* out) {
    divided(bytes, count, divisor, static_cast<float*>(out));
}

template <>
void pixels<Bfloat16>(const uint8_t* bytes, int64_t count, float divisor, void* out) {
    constexpr int64_t kRun = 16 * V;
    auto* to = static_cast<uint16_t*>(out);
    for (int64_t i = 0; i < count; i += kRun) {
        float run[kRun] = {};
        uint16_t made[kRun];
        const int64_t number = count - i < kRun ? count - i : kRun;
        divided(bytes + i, number, divisor, run);
        for (int64_t p = 0; p < kRun / V; ++p) save<Bfloat16>(made, p, load(run + p * V));
        for (int64_t k = 0; k < number; ++k) to[i + k] = made[k];
    }
}

}  // namespace

namespace yolo::program::YOLO_KERNELS {

extern const Kernels kernels = {
    YOLO_KERNELS_NAME,
    V,
    {moments<Float32>, moments<Bfloat16>},
    {activate<Float32>, activate<Bfloat16>},
    {add<Float32>, add<Bfloat16>},
    {{grad_sums<Float32, Float32>, nullptr}, {grad_sums<Bfloat16, Float32>, grad_sums<Bfloat16, Bfloat16>}},
    {{grad<Float32, Float32>, nullptr}, {grad<Bfloat16, Float32>, grad<Bfloat16, Bfloat16>}},
    {store<Float32>, store<Bfloat16>},
    {{max_pool<Float32, BytePlaces>, max_pool<Float32, WordPlaces>, max_pool<Float32, NoPlaces>},
     {max_pool<Bfloat16, BytePlaces>, max_pool<Bfloat16, WordPlaces>, max_pool<Bfloat16, NoPlaces>}},
    {average_pool<Float32>, average_pool<Bfloat16>},
    {upsample<Float32>, upsample<Bfloat16>},
    {bilinear<Float32>, bilinear<Bfloat16>},
    {max_pool_back<BytePlaces>, max_pool_back<WordPlaces>, nullptr},
    average_pool_back,
    upsample_back,
    bilinear_back,
    {pixels<Float32>, pixels<Bfloat16>},
    {planar<Float32>, planar<Bfloat16>},
    {blocked<Float32>, blocked<Bfloat16>},
    softmax,
    softmax_back,
    winograd_points,
    winograd_products,
    winograd_finish,
    byte_sums,
    byte_finish,
    word_points,
    word_products,
    word_finish,
    quantise,
    dequantise,
    winograd_weights,
    winograd_gradient_points,
    winograd_gradient_products,
    winograd_gradient_finish,
    winograd_spread_points,
    winograd_spread_finish,
    kAmxConv,
    kAmxByteConv,
    kAmxPairs,
    kAmxGradient,
    kAmxTurnRow,
    kAmxFoldRow,
    kAmxPairRow,
};

}  // namespace yolo::program::YOLO_KERNELS
