// Steps on bytes, whose channels lie together: to them and back, and what moves them.
#include <algorithm>
#include <cstring>

#include "parallel/team.h"
#include "program/cpu/builders.h"

namespace yolo::program {
namespace {

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

// Calls action(floats, bytes, pixels, channels) for each channel block of runs of pixels, whose bytes stay in the nearest
// cache meanwhile.
template <class Action>
void each_run(const ExecContext& exec, const TensorView& floats, const TensorView& bytes, const Action& action) {
    constexpr int64_t kRun = 64;
    const int64_t pixels = floats.pixels(), runs = (pixels + kRun - 1) / kRun;
    parallel::share(exec.threads, exec.batch * runs, [&](int, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const int64_t image = i / runs, pixel = i % runs * kRun, count = std::min(kRun, pixels - pixel);
            auto* const place = reinterpret_cast<uint8_t*>(exec.at(bytes, image)) + pixel * bytes.channels;
            for (int64_t block = 0; block < exec.blocks(floats); ++block) {
                auto* const values = reinterpret_cast<float*>(exec.at(floats, image, block)) + pixel * exec.block;
                const int64_t first = block * exec.block;
                action(values, place + first, count, std::min(exec.block, bytes.channels - first));
            }
        }
    });
}

}  // namespace

std::vector<CompiledStep> build_quantise(BuildContext& context, const Step& step) {
    const TensorView from = step.view("source"), to = step.view("target");
    const float steps = 1.0f / static_cast<float>(step.real("scale_step"));
    const auto zero = static_cast<float>(step.number("scale_zero"));
    const StepInfo info{"quantise", step.where, kernels().name, 0.0, 5 * to.channels * to.pixels()};
    return {{info, [=, exec = ExecContext(context)](const Run&) {
                 each_run(exec, from, to, [&](float* values, uint8_t* bytes, int64_t count, int64_t channels) {
                     kernels().quantise(values, count, channels, steps, zero, bytes, to.channels);
                 });
             }}};
}

std::vector<CompiledStep> build_dequantise(BuildContext& context, const Step& step) {
    const TensorView from = step.view("source"), to = step.view("target");
    const auto size = static_cast<float>(step.real("scale_step"));
    const auto zero = static_cast<float>(step.number("scale_zero"));
    const StepInfo info{"dequantise", step.where, kernels().name, 0.0, 5 * to.channels * to.pixels()};
    return {{info, [=, exec = ExecContext(context)](const Run&) {
                 each_run(exec, to, from, [&](float* values, const uint8_t* bytes, int64_t count, int64_t channels) {
                     kernels().dequantise(bytes, from.channels, count, channels, size, zero, values);
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
