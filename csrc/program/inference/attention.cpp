// Attention over the cells of a feature map.
#include "program/kernels/attention.h"

#include <algorithm>

#include "parallel/team.h"
#include "program/inference/program.h"
#include "program/kernels/kernels.h"

namespace yolo::program {

namespace {

// Calls action(first channel, channels, address) for each channel block of a map.
template <class Action>
void each_block(int threads, std::byte* data, const View& view, int64_t element, const Action& action) {
    const int64_t lanes = kernels().lanes, blocks = (view.channels + lanes - 1) / lanes;
    parallel::share(threads, blocks, [&](int, int64_t begin, int64_t end) {
        for (int64_t c = begin * lanes; c < std::min(end * lanes, view.channels); c += lanes) {
            action(c, std::min(lanes, view.channels - c), data + c * view.pixels() * element);
        }
    });
}

}  // namespace

void InferenceProgram::attention(const std::string& where, const View& q, const View& k, const View& v, const View& to,
                                 int64_t heads) {
    for (const View* from : {&q, &k, &v}) {
        check_blocked(where, *from, to);
        require_same_shape(where, *from, to);
    }
    require(heads >= 1 && to.channels % heads == 0, where, "its channels do not divide into heads");
    const AttentionShape shape{to.channels, to.pixels(), heads};
    take(where, 4.0 * (4.0 * static_cast<double>(shape.plane()) + threads_ * static_cast<double>(attention_scratch(shape))));
    const auto planes = std::make_shared<Buffer>(static_cast<size_t>(4 * shape.plane()) * sizeof(float));
    const auto scratch =
        std::make_shared<Buffer>(static_cast<size_t>(threads_ * attention_scratch(shape)) * sizeof(float));
    const double flops = 4.0 * static_cast<double>(shape.cells) * static_cast<double>(shape.plane());
    step({"attention", where, kernels().name, flops, 16 * shape.plane(), 0.0}, [=] {
        const Format format = bf16_ ? kBfloat16 : kFloat32;
        const int64_t element = bf16_ ? 2 : 4;
        auto* first = reinterpret_cast<float*>(planes->data());
        float* rows[] = {first, first + shape.plane(), first + 2 * shape.plane(), first + 3 * shape.plane()};
        const View* from[] = {&q, &k, &v};
        for (int i = 0; i < 3; ++i) {
            each_block(threads_, at(*from[i]), *from[i], element, [&](int64_t c, int64_t number, const std::byte* data) {
                kernels().planar[format](data, shape.cells, number, rows[i] + c * shape.cells, shape.cells);
            });
        }
        attend(shape, rows[0], rows[1], rows[2], rows[3], reinterpret_cast<float*>(scratch->data()), threads_);
        each_block(threads_, at(to), to, element, [&](int64_t c, int64_t number, std::byte* data) {
            kernels().blocked[format](rows[3] + c * shape.cells, shape.cells, number, shape.cells, data);
        });
    });
}

}  // namespace yolo::program
