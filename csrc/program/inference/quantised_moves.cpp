// The steps that move bytes, channels last, and turn floats into bytes and back.
#include <algorithm>
#include <cstring>

#include "parallel/team.h"
#include "program/inference/elements.h"
#include "program/inference/program.h"

namespace yolo::program {

namespace {

// The nearest whole number (ties to even) within 0..255; NaN becomes 0. Adding 1.5 * 2^23 leaves no bits for fractions.
inline uint8_t to_byte(float value) {
    const float bounded = std::min(std::max(0.0f, value), 255.0f) + 12582912.0f;  // two instructions without a branch
    uint32_t bits;
    std::memcpy(&bits, &bounded, sizeof bits);
    return static_cast<uint8_t>(bits & 0xffu);
}

// The channels of one pixel, in blocks of kBlock that lie `distance` apart.
template <int64_t kBlock>
void to_bytes(const float* from, int64_t distance, uint8_t* to, int64_t channels, float steps, float zero) {
    int64_t first = 0;
    for (; first + kBlock <= channels; first += kBlock, from += distance) {
        for (int64_t c = 0; c < kBlock; ++c) to[first + c] = to_byte(from[c] * steps + zero);
    }
    for (int64_t c = first; c < channels; ++c) to[c] = to_byte(from[c - first] * steps + zero);
}

// `count` bytes of each of `pixels` pixels, from pixels `from_step` bytes apart to pixels `to_step` apart.
void copy_pixels(const std::byte* from, int64_t from_step, std::byte* to, int64_t to_step, int64_t count,
                 int64_t pixels) {
    // memmove here and below: a plan that was made by hand may have its maps overlap, which must stay harmless.
    constexpr int64_t kPiece = 16;  // of a size that the compiler knows: no call of memcpy for each pixel
    const int64_t pieces = count % kPiece == 0 ? count / kPiece : 0;
    parallel::each(pixels, [&](int64_t pixel) {
        const std::byte* source = from + pixel * from_step;
        std::byte* target = to + pixel * to_step;
        for (int64_t i = 0; i < pieces; ++i) std::memmove(target + i * kPiece, source + i * kPiece, kPiece);
        if (pieces == 0) std::memmove(target, source, static_cast<size_t>(count));
    });
}

}  // namespace

void InferenceProgram::load_bytes(const uint8_t* picture) {
    const int64_t channels = input_.channels, pixels = input_.pixels();
    auto* to = reinterpret_cast<uint8_t*>(at(input_));
    parallel::each(pixels, [&](int64_t pixel) {
        for (int64_t c = 0; c < channels; ++c) to[pixel * channels + c] = picture[c * pixels + pixel];
    });
}

void InferenceProgram::store_last(const View& view, float* output) const {
    constexpr int64_t kRun = 16;  // pixels whose channels stay in the nearest cache while they are turned
    const auto* from = reinterpret_cast<const float*>(at(view));
    const int64_t channels = view.channels, pixels = view.pixels();
    parallel::each((pixels + kRun - 1) / kRun, [&](int64_t run) {
        const int64_t first = run * kRun;
        const int64_t stop = std::min(first + kRun, pixels);
        for (int64_t c = 0; c < channels; ++c) {
            for (int64_t pixel = first; pixel < stop; ++pixel) {
                output[c * pixels + pixel] = from[pixel * channels + c];
            }
        }
    });
}

// One of the maps holds floats, the other the bytes for them.
void InferenceProgram::check_turned(const std::string& where, const View& floats, const View& bytes,
                                    const Scale& scale) const {
    check(where, floats);
    check(where, bytes);
    require_blocked(where, floats);
    require_last(where, bytes);
    require_same_size(where, floats, bytes);
    require(floats.channels == bytes.channels, where, "its maps have different numbers of channels");
    require_scale(where, scale);
    require(!bf16_, where, "knows no bfloat16");
}

void InferenceProgram::quantise(const std::string& where, const View& from, const View& to, const Scale& scale) {
    check_turned(where, from, to, scale);
    const int64_t block = channel_block(), channels = to.channels, pixels = to.pixels();
    const auto* values = reinterpret_cast<const float*>(at(from));
    auto* target = reinterpret_cast<uint8_t*>(at(to));
    const float steps = 1.0f / scale.scale, zero = static_cast<float>(scale.zero);
    const auto pixel_to_bytes = block == 16 ? &to_bytes<16> : &to_bytes<8>;
    step({"quantise", where, "own", 0.0, 5 * channels * pixels, 0.0}, [=] {
        parallel::each(pixels, [&](int64_t pixel) {
            pixel_to_bytes(values + pixel * block, pixels * block, target + pixel * channels, channels, steps, zero);
        });
    });
}

void InferenceProgram::dequantise(const std::string& where, const View& from, const View& to, const Scale& scale) {
    check_turned(where, to, from, scale);
    const int64_t block = channel_block(), channels = to.channels, pixels = to.pixels();
    const auto* bytes = reinterpret_cast<const uint8_t*>(at(from));
    auto* target = reinterpret_cast<float*>(at(to));
    step({"dequantise", where, "own", 0.0, 5 * channels * pixels, 0.0}, [=] {
        parallel::each(pixels, [&](int64_t pixel) {
            for (int64_t first = 0; first < channels; first += block) {
                float* line = target + first * pixels + pixel * block;
                for (int64_t c = 0; c < block; ++c) {
                    const int64_t channel = first + c;
                    const int32_t byte = channel < channels ? bytes[pixel * channels + channel] : scale.zero;
                    line[c] = static_cast<float>(byte - scale.zero) * scale.scale;
                }
            }
        });
    });
}

void InferenceProgram::copy_bytes(const std::string& where, const View& from, int64_t from_start, const View& to,
                                  int64_t to_start, int64_t count) {
    for (const View* map : {&from, &to}) {
        check(where, *map);
        require_last(where, *map);
    }
    require_same_size(where, from, to);
    require_channels(where, from, from_start, count);
    require_channels(where, to, to_start, count);
    step({"copy", where, "own", 0.0, 2 * count * to.pixels(), 0.0},
         [=, source = at(from) + from_start, target = at(to) + to_start] {
             copy_pixels(source, from.channels, target, to.channels, count, to.pixels());
         });
}

void InferenceProgram::upsample_bytes(const std::string& where, const View& from, const View& to, int64_t scale) {
    for (const View* map : {&from, &to}) {
        check(where, *map);
        require_last(where, *map);
    }
    require_scaled(where, from, to, scale);
    const int64_t cell = from.channels, bytes = cell * (from.pixels() + to.pixels());
    step({"upsample", where, "own", 0.0, bytes, 0.0}, [=, data = at(from), place = at(to)] {
        parallel::each(to.height, [&](int64_t row) {
            const std::byte* line = data + row / scale * from.width * cell;
            std::byte* target = place + row * to.width * cell;
            for (int64_t column = 0; column < to.width; ++column) {
                std::memmove(target + column * cell, line + column / scale * cell, static_cast<size_t>(cell));
            }
        });
    });
}

}  // namespace yolo::program
