// The steps that move values and compute next to nothing: ours, because layouts make them.
#include <algorithm>
#include <cstring>

#include "parallel/team.h"
#include "program/inference/elements.h"
#include "program/inference/program.h"
#include "program/kernels/kernels.h"

namespace yolo::program {

void InferenceProgram::load(const uint8_t* picture) {
    if (input_.last) return load_bytes(picture);
    auto* to = at(input_);
    const int64_t size = bf16_ ? 2 : 4;
    const auto pixels = kernels().pixels[bf16_ ? kBfloat16 : kFloat32];
    parallel::share(threads_, input_.channels * input_.pixels(), [&](int, int64_t begin, int64_t end) {
        pixels(picture + begin, end - begin, scaled_ ? 255.0f : 1.0f, to + begin * size);
    });
}

// Outputs are always float32; all but those of int8 convolutions are blocked.
void InferenceProgram::store(const View& view, float* output) const {
    if (view.last) return store_last(view, output);
    const auto* from = reinterpret_cast<const float*>(at(view));
    const int64_t block = channel_block(), pixels = view.pixels();
    parallel::share(threads_, padded_channels(view.channels) / block, [&](int, int64_t begin, int64_t end) {
        for (int64_t c = begin * block; c < std::min(end * block, view.channels); c += block) {
            const int64_t channels = std::min(block, view.channels - c);
            kernels().planar[kFloat32](from + c * pixels, pixels, channels, output + c * pixels, pixels);
        }
    });
}

void InferenceProgram::copy(const std::string& where, const View& from, int64_t from_start, const View& to,
                            int64_t to_start, int64_t count) {
    check_cells(where, from, to);
    require_same_size(where, from, to);
    require_channels(where, from, from_start, count);
    require_channels(where, to, to_start, count);
    const int64_t size = element(), block = channel_block(), pixels = to.pixels();
    // What follows the last channel is copied too, so it must be the zeros that follow the source's last.
    const bool ends = to_start + count == to.channels && from_start + count == from.channels;
    const bool aligned =
        !from.plain && from_start % block == 0 && to_start % block == 0 && (count % block == 0 || ends);
    if (aligned) {
        const int64_t bytes = padded_channels(count) * pixels * size;
        step({"copy", where, "memcpy", 0.0, 2 * bytes, 0.0},
             [from = at(from) + from_start * pixels * size, to = at(to) + to_start * pixels * size, bytes] {
                 std::memmove(to, from, static_cast<size_t>(bytes));
             });
        return;
    }
    const Place source(from), target(to);
    step({"copy", where, "own", 0.0, 2 * count * pixels * size, 0.0}, [=, data = at(from), place = at(to)] {
        if (to_start + count == to.channels) clear_tail(place, to, size);
        parallel::each(count, [&](int64_t channel) {
            for (int64_t pixel = 0; pixel < pixels; ++pixel) {
                std::memmove(place + target(to_start + channel, pixel) * size,
                            data + source(from_start + channel, pixel) * size, static_cast<size_t>(size));
            }
        });
    });
}

void InferenceProgram::affine(const std::string& where, const View& from, const View& to, const std::string& weights) {
    check_blocked(where, from, to);
    require_same_shape(where, from, to);
    const dnnl::memory::desc dense({to.channels}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::x);
    const dnnl::memory scale = constant(where, weights + ".scale", dense);
    const dnnl::memory shift = constant(where, weights + ".shift", dense);
    const int64_t block = channel_block(), size = element(), pixels = to.pixels();
    const auto loop = kernels().activate[bf16_ ? kBfloat16 : kFloat32];
    step({"affine", where, kernels().name, 2.0 * static_cast<double>(to.channels * pixels), 2 * size * to.channels * pixels,
          0.0}, [=] {
        parallel::share(threads_, padded_channels(to.channels) / block, [&](int, int64_t begin, int64_t end) {
            for (int64_t c = begin * block; c < std::min(end * block, to.channels); c += block) {
                float centre[kMostLanes] = {}, gain[kMostLanes] = {}, plus[kMostLanes] = {};  // zeros after the last
                const int64_t channels = std::min(block, to.channels - c);
                std::copy_n(static_cast<const float*>(scale.get_data_handle()) + c, channels, gain);
                std::copy_n(static_cast<const float*>(shift.get_data_handle()) + c, channels, plus);
                loop(at(from) + c * pixels * size, {centre, gain, plus}, {Function::identity, 0.0f}, nullptr,
                     at(to) + c * pixels * size, pixels);
            }
        });
    });
}

}  // namespace yolo::program
