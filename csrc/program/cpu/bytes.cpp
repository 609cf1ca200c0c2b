// Steps on bytes, whose channels lie together: to them and back, and what moves them.
#include <algorithm>
#include <cstring>

#include "parallel/team.h"
#include "program/cpu/builders.h"

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
void copy_pixels(int threads, const std::byte* from, int64_t from_step, std::byte* to, int64_t to_step, int64_t count,
                 int64_t pixels) {
    constexpr int64_t kPiece = 16;  // of a size that the compiler knows: no call of memcpy for each pixel
    const int64_t pieces = count % kPiece == 0 ? count / kPiece : 0;
    parallel::share(threads, pixels, [&](int, int64_t begin, int64_t end) {
        for (int64_t pixel = begin; pixel < end; ++pixel) {
            const std::byte* source = from + pixel * from_step;
            std::byte* target = to + pixel * to_step;
            for (int64_t i = 0; i < pieces; ++i) std::memcpy(target + i * kPiece, source + i * kPiece, kPiece);
            if (pieces == 0) std::memcpy(target, source, static_cast<size_t>(count));
        }
    });
}

}  // namespace

std::vector<CompiledStep> build_quantise(BuildContext& context, const Step& step) {
    const TensorView from = step.view("source"), to = step.view("target");
    const float steps = 1.0f / static_cast<float>(step.real("scale_step"));
    const auto zero = static_cast<float>(step.number("scale_zero"));
    const auto pixel_to_bytes = context.block == 16 ? &to_bytes<16> : &to_bytes<8>;
    const StepInfo info{"quantise", step.where, "own", 0.0, 5 * to.channels * to.pixels()};
    return {{info, [=, exec = ExecContext(context)](const Run&) {
                 const auto* values = reinterpret_cast<const float*>(exec.at(from));
                 auto* bytes = reinterpret_cast<uint8_t*>(exec.at(to));
                 parallel::share(exec.threads, to.pixels(), [&](int, int64_t begin, int64_t end) {
                     for (int64_t pixel = begin; pixel < end; ++pixel) {
                         pixel_to_bytes(values + pixel * exec.block, to.pixels() * exec.block,
                                        bytes + pixel * to.channels, to.channels, steps, zero);
                     }
                 });
             }}};
}

std::vector<CompiledStep> build_dequantise(BuildContext& context, const Step& step) {
    const TensorView from = step.view("source"), to = step.view("target");
    const auto size = static_cast<float>(step.real("scale_step"));
    const auto zero = static_cast<int32_t>(step.number("scale_zero"));
    const StepInfo info{"dequantise", step.where, "own", 0.0, 5 * to.channels * to.pixels()};
    return {{info, [=, exec = ExecContext(context)](const Run&) {
                 const auto* bytes = reinterpret_cast<const uint8_t*>(exec.at(from));
                 auto* target = reinterpret_cast<float*>(exec.at(to));
                 const int64_t block = exec.block, channels = to.channels;
                 parallel::share(exec.threads, to.pixels(), [&](int, int64_t begin, int64_t end) {
                     for (int64_t i = begin * exec.blocks(to); i < end * exec.blocks(to); ++i) {
                         const int64_t pixel = i / exec.blocks(to), first = i % exec.blocks(to) * block;
                         float* line = target + first * to.pixels() + pixel * block;
                         for (int64_t c = 0; c < block; ++c) {
                             const int32_t byte = first + c < channels ? bytes[pixel * channels + first + c] : zero;
                             line[c] = static_cast<float>(byte - zero) * size;
                         }
                     }
                 });
             }}};
}

std::vector<CompiledStep> build_copy_bytes(BuildContext& context, const Step& step) {
    const TensorView from = step.view("source"), to = step.view("target");
    const int64_t count = step.number("count");
    const std::byte* source = context.at(from) + step.number("source_first");
    std::byte* target = context.at(to) + step.number("target_first");
    const StepInfo info{"copy", step.where, "own", 0.0, 2 * count * to.pixels()};
    return {{info, [=, threads = context.threads](const Run&) {
                 copy_pixels(threads, source, from.channels, target, to.channels, count, to.pixels());
             }}};
}

}  // namespace yolo::program
