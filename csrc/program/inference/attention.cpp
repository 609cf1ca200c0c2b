// Attention over the cells of a feature map.
#include <cmath>
#include <stdexcept>

#include "program/inference/elements.h"
#include "program/inference/program.h"

namespace yolo::program {

namespace {

// A map as rows of cells: float32 [cells, channels].
void gather(const std::byte* data, const View& view, bool bf16, float* rows) {
    const Place place(view);
#pragma omp parallel for schedule(static)
    for (int64_t cell = 0; cell < view.pixels(); ++cell) {
        for (int64_t c = 0; c < view.channels; ++c) {
            const int64_t i = place(c, cell);
            rows[cell * view.channels + c] = bf16 ? from_bf16(reinterpret_cast<const uint16_t*>(data)[i])
                                                  : reinterpret_cast<const float*>(data)[i];
        }
    }
}

float dot(const float* a, const float* b, int64_t count) {
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
    return sum;
}

// One cell's mixture of all values: weights softmax(q k / sqrt(d)), largest first subtracted.
void mix(const float* q, const float* keys, const float* values, int64_t cells, int64_t channels, int64_t d,
         float* scores, float* out) {
    const float scale = 1.0f / std::sqrt(static_cast<float>(d));
    float largest = -INFINITY, total = 0.0f;
    for (int64_t i = 0; i < cells; ++i) {
        scores[i] = dot(q, keys + i * channels, d) * scale;
        largest = std::max(largest, scores[i]);
    }
    for (int64_t i = 0; i < cells; ++i) total += scores[i] = std::exp(scores[i] - largest);
    for (int64_t c = 0; c < d; ++c) out[c] = 0.0f;
    for (int64_t i = 0; i < cells; ++i) {
        const float weight = scores[i] / total;
        const float* value = values + i * channels;
#pragma omp simd
        for (int64_t c = 0; c < d; ++c) out[c] += weight * value[c];
    }
}

}  // namespace

void InferenceProgram::attention(const std::string& where, const View& q, const View& k, const View& v, const View& to,
                                 int64_t heads) {
    const int64_t cells = to.pixels(), channels = to.channels, d = channels / heads;
    if (d * heads != channels) throw std::invalid_argument(where + ": channels do not divide into heads");
    const auto rows = std::make_shared<Buffer>(static_cast<size_t>(4 * cells * channels) * sizeof(float));
    const auto scores = std::make_shared<Buffer>(static_cast<size_t>(heads * cells * cells) * sizeof(float));
    const double flops = 4.0 * static_cast<double>(cells) * cells * channels;
    step({"attention", where, "own", flops, 16 * cells * channels, 0.0}, [=] {
        auto* queries = reinterpret_cast<float*>(rows->data());
        float *keys = queries + cells * channels, *values = keys + cells * channels, *out = values + cells * channels;
        gather(at(q), q, bf16_, queries);
        gather(at(k), k, bf16_, keys);
        gather(at(v), v, bf16_, values);
#pragma omp parallel for schedule(static) collapse(2)
        for (int64_t head = 0; head < heads; ++head) {
            for (int64_t cell = 0; cell < cells; ++cell) {
                const int64_t first = head * d, row = cell * channels + first;
                mix(queries + row, keys + first, values + first, cells, channels, d,
                    reinterpret_cast<float*>(scores->data()) + (head * cells + cell) * cells, out + row);
            }
        }
        const Place place(to);
        clear_tail(at(to), to, bf16_ ? 2 : 4);
        for (int64_t cell = 0; cell < cells; ++cell) {
            for (int64_t c = 0; c < channels; ++c) {
                const int64_t i = place(c, cell);
                if (bf16_) {
                    reinterpret_cast<uint16_t*>(at(to))[i] = to_bf16(out[cell * channels + c]);
                } else {
                    reinterpret_cast<float*>(at(to))[i] = out[cell * channels + c];
                }
            }
        }
    });
}

}  // namespace yolo::program
