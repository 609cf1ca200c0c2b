// Attention in training: between maps of a batch, one picture after the other.
#include "program/kernels/attention.h"

#include <algorithm>
#include <stdexcept>

#include "parallel/team.h"
#include "program/cpu/onednn.h"
#include "program/training/planes.h"

namespace yolo::program::training {
namespace {

Format format_of(const Slice& slice) {
    return slice.wide() ? kFloat32 : kBfloat16;
}

AttentionShape shape_of(const std::string& where, const Slice& slice, int64_t heads) {
    if (slice.channels % heads != 0) throw std::invalid_argument(where + ": channels do not divide into heads");
    return {slice.channels, slice.pixels(), heads};
}

// Calls action(first channel, channels, address) for each channel block of a picture.
template <class Action>
void each_block(const Place& place, const Slice& slice, int64_t n, const Action& action) {
    const int64_t lanes = loops().lanes, blocks = (slice.channels + lanes - 1) / lanes;
    parallel::share(place.threads, blocks, [&](int, int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) {
            action(b * lanes, std::min(lanes, slice.channels - b * lanes), place.arena + slice.plane(n, b, lanes));
        }
    });
}

void gather(const Place& place, const Slice& slice, int64_t n, float* rows) {
    each_block(place, slice, n, [&](int64_t c, int64_t number, const std::byte* from) {
        loops().planar[format_of(slice)](from, slice.pixels(), number, rows + c * slice.pixels(), slice.pixels());
    });
}

void scatter(const Place& place, const float* rows, const Slice& slice, int64_t n) {
    each_block(place, slice, n, [&](int64_t c, int64_t number, std::byte* to) {
        loops().blocked[format_of(slice)](rows + c * slice.pixels(), slice.pixels(), number, slice.pixels(), to);
    });
}

// `number` maps of one picture as planes of floats, then scratch for all threads.
dnnl::memory rows_of(const Place& place, const AttentionShape& shape, int64_t number, Workspace& workspace) {
    const int64_t floats = number * shape.plane() + place.threads * attention_scratch(shape);
    return Workspace::Frame(workspace).take({{floats}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::x});
}

}  // namespace

Step attention(const Place& place, const std::string& where, const std::array<Slice, 3>& given, const Slice& target,
               int64_t heads, Workspace& workspace) {
    const AttentionShape shape = shape_of(where, target, heads);
    const dnnl::memory rows = rows_of(place, shape, 4, workspace);
    StepInfo info{where, "attention", loops().name};
    info.bytes = 4 * place.batch * shape.plane() * target.element;
    info.flops = 4.0 * static_cast<double>(place.batch * shape.cells * shape.plane());
    return {info, [=](const Run&) {
                float *first = static_cast<float*>(rows.get_data_handle()), *scratch = first + 4 * shape.plane();
                const auto map = [&](int64_t i) { return first + i * shape.plane(); };
                for (int64_t n = 0; n < place.batch; ++n) {
                    for (size_t i = 0; i < 3; ++i) gather(place, given[i], n, map(static_cast<int64_t>(i)));
                    attend(shape, map(0), map(1), map(2), map(3), scratch, place.threads);
                    scatter(place, map(3), target, n);
                }
            }};
}

Step attention_back(const Place& place, const std::string& where, const std::array<Slice, 3>& given,
                    const Slice& gradient, const std::array<Slice, 3>& to, int64_t heads, Workspace& workspace) {
    const AttentionShape shape = shape_of(where, gradient, heads);
    const dnnl::memory rows = rows_of(place, shape, 7, workspace);
    StepInfo info{where, "attention_back", loops().name};
    info.bytes = 7 * place.batch * shape.plane() * gradient.element;
    info.flops = 10.0 * static_cast<double>(place.batch * shape.cells * shape.plane());
    return {info, [=](const Run&) {
                float *first = static_cast<float*>(rows.get_data_handle()), *scratch = first + 7 * shape.plane();
                const auto map = [&](size_t i) { return first + static_cast<int64_t>(i) * shape.plane(); };
                for (int64_t n = 0; n < place.batch; ++n) {
                    for (size_t i = 0; i < 3; ++i) gather(place, given[i], n, map(i));
                    gather(place, gradient, n, map(3));
                    attend_back(shape, map(0), map(1), map(2), map(3), map(4), map(5), map(6), scratch, place.threads);
                    for (size_t i = 0; i < 3; ++i) scatter(place, map(4 + i), to[i], n);
                }
            }};
}

}  // namespace yolo::program::training
