// The steps that move values and compute next to nothing: ours, because layouts make them.
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "program/inference/elements.h"
#include "program/inference/program.h"

namespace yolo::program {

void InferenceProgram::load(const uint8_t* picture) {
    const int64_t count = input_.channels * input_.pixels();
    const float scale = scaled_ ? 255.0f : 1.0f;
    if (bf16_) {
        auto* to = reinterpret_cast<uint16_t*>(at(input_));
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < count; ++i) to[i] = to_bf16(static_cast<float>(picture[i]) / scale);
    } else {
        auto* to = reinterpret_cast<float*>(at(input_));
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(picture[i]) / scale;
    }
}

// Outputs are always float32, blocked.
void InferenceProgram::store(const View& view, float* output) const {
    const auto* from = reinterpret_cast<const float*>(at(view));
    const int64_t block = channel_block(), pixels = view.pixels();
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < view.channels; first += block) {
        const float* values = from + first * pixels;
        const int64_t channels = std::min(block, view.channels - first);
        for (int64_t pixel = 0; pixel < pixels; ++pixel) {
            for (int64_t c = 0; c < channels; ++c) output[(first + c) * pixels + pixel] = values[pixel * block + c];
        }
    }
}

// Fill every element of `to` from the element of `from` whose index `source(channel, row, column)` gives, or with
// zero where that is negative.
template <class Element>
void InferenceProgram::move(const std::string& kind, const std::string& where, const View& from, const View& to,
                            std::function<int64_t(int64_t, int64_t, int64_t)> source) {
    const auto* values = reinterpret_cast<const Element*>(at(from));
    auto* target = reinterpret_cast<Element*>(at(to));
    const Place place(to);
    const int64_t bytes = 2 * to.channels * to.pixels() * static_cast<int64_t>(sizeof(Element));
    step({kind, where, "own", 0.0, bytes, 0.0}, [=] {
        clear_tail(reinterpret_cast<std::byte*>(target), to, sizeof(Element));
#pragma omp parallel for schedule(static) collapse(2)
        for (int64_t channel = 0; channel < to.channels; ++channel) {
            for (int64_t row = 0; row < to.height; ++row) {
                for (int64_t column = 0; column < to.width; ++column) {
                    const int64_t index = source(channel, row, column);
                    target[place(channel, row * to.width + column)] = index < 0 ? Element(0) : values[index];
                }
            }
        }
    });
}

#define MOVE(...) (bf16_ ? move<uint16_t>(__VA_ARGS__) : move<float>(__VA_ARGS__))

void InferenceProgram::copy(const std::string& where, const View& from, int64_t from_start, const View& to,
                            int64_t to_start, int64_t count) {
    const int64_t size = bf16_ ? 2 : 4, block = channel_block(), pixels = to.pixels();
    const bool aligned = !from.plain && !to.plain && from_start % block == 0 && to_start % block == 0 &&
                         (count % block == 0 || to_start + count == to.channels);
    if (aligned) {
        const int64_t bytes = padded_channels(count) * pixels * size;
        step({"copy", where, "memcpy", 0.0, 2 * bytes, 0.0},
             [from = at(from) + from_start * pixels * size, to = at(to) + to_start * pixels * size, bytes] {
                 std::memcpy(to, from, static_cast<size_t>(bytes));
             });
        return;
    }
    const Place source(from), target(to);
    step({"copy", where, "own", 0.0, 2 * count * pixels * size, 0.0}, [=, data = at(from), place = at(to)] {
        if (to_start + count == to.channels) clear_tail(place, to, size);
#pragma omp parallel for schedule(static)
        for (int64_t channel = 0; channel < count; ++channel) {
            for (int64_t pixel = 0; pixel < pixels; ++pixel) {
                std::memcpy(place + target(to_start + channel, pixel) * size,
                            data + source(from_start + channel, pixel) * size, static_cast<size_t>(size));
            }
        }
    });
}

void InferenceProgram::upsample(const std::string& where, const View& from, const View& to, int64_t scale) {
    const int64_t cell = channel_block() * (bf16_ ? 2 : 4), blocks = padded_channels(from.channels) / channel_block();
    const int64_t bytes = blocks * cell * (from.pixels() + to.pixels());
    step({"upsample", where, "own", 0.0, bytes, 0.0}, [=, data = at(from), place = at(to)] {
#pragma omp parallel for schedule(static) collapse(2)
        for (int64_t block = 0; block < blocks; ++block) {
            for (int64_t row = 0; row < from.height; ++row) {
                const std::byte* line = data + (block * from.pixels() + row * from.width) * cell;
                std::byte* first = place + (block * to.pixels() + row * scale * to.width) * cell;
                for (int64_t column = 0; column < to.width; ++column) {
                    std::memcpy(first + column * cell, line + column / scale * cell, static_cast<size_t>(cell));
                }
                for (int64_t again = 1; again < scale; ++again) {
                    std::memcpy(first + again * to.width * cell, first, static_cast<size_t>(to.width * cell));
                }
            }
        }
    });
}

void InferenceProgram::affine(const std::string& where, const View& from, const View& to, const std::string& weights) {
    const dnnl::memory::desc dense({to.channels}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::x);
    const dnnl::memory scale = weights_->packed(weights + ".scale", dense);
    const dnnl::memory shift = weights_->packed(weights + ".shift", dense);
    const Place place(to);
    step({"affine", where, "own", 2.0 * to.channels * to.pixels(), 8 * to.channels * to.pixels(), 0.0},
         [=, bf16 = bf16_, data = at(from), target = at(to)] {
             const auto* gain = static_cast<const float*>(scale.get_data_handle());
             const auto* plus = static_cast<const float*>(shift.get_data_handle());
             clear_tail(target, to, bf16 ? 2 : 4);
#pragma omp parallel for schedule(static)
             for (int64_t c = 0; c < to.channels; ++c) {
                 for (int64_t pixel = 0; pixel < to.pixels(); ++pixel) {
                     const int64_t i = place(c, pixel);
                     if (bf16) {
                         const float value = from_bf16(reinterpret_cast<const uint16_t*>(data)[i]);
                         reinterpret_cast<uint16_t*>(target)[i] = to_bf16(value * gain[c] + plus[c]);
                     } else {
                         const float value = reinterpret_cast<const float*>(data)[i];
                         reinterpret_cast<float*>(target)[i] = value * gain[c] + plus[c];
                     }
                 }
             }
         });
}

void InferenceProgram::pad(const std::string& where, const View& from, const View& to, int64_t left, int64_t top) {
    const Place place(from);
    MOVE("pad", where, from, to, [=](int64_t channel, int64_t row, int64_t column) -> int64_t {
        const int64_t y = row - top, x = column - left;
        const bool inside = y >= 0 && y < from.height && x >= 0 && x < from.width;
        return inside ? place(channel, y * from.width + x) : -1;
    });
}

void InferenceProgram::space_to_depth(const std::string& where, const View& from, const View& to, int64_t gain,
                                      bool column_major) {
    const Place place(from);
    MOVE("space_to_depth", where, from, to, [=](int64_t channel, int64_t row, int64_t column) -> int64_t {
        const int64_t part = channel / from.channels;
        const int64_t dy = column_major ? part % gain : part / gain, dx = column_major ? part / gain : part % gain;
        return place(channel % from.channels, (row * gain + dy) * from.width + column * gain + dx);
    });
}

void InferenceProgram::depth_to_space(const std::string& where, const View& from, const View& to, int64_t gain) {
    const Place place(from);
    MOVE("depth_to_space", where, from, to, [=](int64_t channel, int64_t row, int64_t column) -> int64_t {
        const int64_t part = row % gain * gain + column % gain;
        return place(part * to.channels + channel, row / gain * from.width + column / gain);
    });
}

#undef MOVE

}  // namespace yolo::program
