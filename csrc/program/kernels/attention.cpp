#include "program/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <oneapi/dnnl/dnnl.hpp>
#include <stdexcept>

#include "parallel/team.h"
#include "program/kernels/kernels.h"

namespace yolo::program {
namespace {

// Cells whose weights are computed at once: their rows stay in the second-level cache.
constexpr int64_t kRows = 64;

int64_t padded(int64_t cells) {
    const int64_t lanes = kernels().lanes;
    return (cells + lanes - 1) / lanes * lanes;
}

// c [m, n] (+)= a b, row-major; 't' says that a matrix lies there transposed. On the calling thread alone where that
// belongs to a team.
void multiply(char a_kind, char b_kind, int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, const float* b,
              int64_t b_row, float* c, int64_t c_row, bool add = false) {
    const auto status = dnnl::sgemm(a_kind, b_kind, m, n, k, 1.0f, a, a_row, b, b_row, add ? 1.0f : 0.0f, c, c_row);
    if (status != dnnl::status::success) throw std::runtime_error("oneDNN's product of matrices failed");
}

// Some cells of one head: their weights over all cells, and what is the same for all of them.
struct Part {
    int64_t first, rows, cells, row, width;
    float scale;

    Part(const AttentionShape& shape, int64_t chunk)
        : first(chunk * kRows),
          rows(std::min(kRows, shape.cells - first)),
          cells(shape.cells),
          row(padded(shape.cells)),
          width(shape.channels / shape.heads),
          scale(1.0f / std::sqrt(static_cast<float>(width))) {}

    void weights(const float* q, const float* k, float* to) const {
        multiply('T', 'N', rows, cells, width, q + first, cells, k, cells, to, row);
        for (int64_t i = 0; i < rows; ++i) kernels().softmax(to + i * row, cells, scale);
    }
};

}  // namespace

int64_t attention_scratch(const AttentionShape& shape) {
    return 2 * kRows * padded(shape.cells);
}

void attend(const AttentionShape& shape, const float* q, const float* k, const float* v, float* out, float* scratch,
            int threads) {
    const int64_t chunks = (shape.cells + kRows - 1) / kRows, size = attention_scratch(shape);
    parallel::share(threads, shape.heads * chunks, [&](int thread, int64_t begin, int64_t end) {
        float* weights = scratch + thread * size;
        for (int64_t i = begin; i < end; ++i) {
            const Part part(shape, i % chunks);
            const int64_t head = i / chunks * part.width * part.cells;
            part.weights(q + head, k + head, weights);
            multiply('N', 'T', part.width, part.rows, part.cells, v + head, part.cells, weights, part.row,
                     out + head + part.first, part.cells);
        }
    });
}

void attend_back(const AttentionShape& shape, const float* q, const float* k, const float* v, const float* grad,
                 float* to_q, float* to_k, float* to_v, float* scratch, int threads) {
    const int64_t chunks = (shape.cells + kRows - 1) / kRows, size = attention_scratch(shape);
    parallel::share(threads, shape.heads, [&](int thread, int64_t begin, int64_t end) {
        float *weights = scratch + thread * size, *grads = weights + size / 2;
        for (int64_t i = begin * chunks; i < end * chunks; ++i) {
            const Part part(shape, i % chunks);
            const int64_t head = i / chunks * part.width * part.cells, cells = part.cells;
            const float* from = grad + head + part.first;
            const bool add = part.first > 0;
            part.weights(q + head, k + head, weights);
            multiply('N', 'N', part.width, cells, part.rows, from, cells, weights, part.row, to_v + head, cells, add);
            multiply('T', 'N', part.rows, cells, part.width, from, cells, v + head, cells, grads, part.row);
            for (int64_t r = 0; r < part.rows; ++r) {
                kernels().softmax_back(weights + r * part.row, grads + r * part.row, cells, part.scale);
            }
            multiply('N', 'T', part.width, part.rows, cells, k + head, cells, grads, part.row,
                     to_q + head + part.first, cells);
            multiply('N', 'N', part.width, cells, part.rows, q + head + part.first, cells, grads, part.row,
                     to_k + head, cells, add);
        }
    });
}

}  // namespace yolo::program
