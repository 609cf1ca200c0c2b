// Where a plan meets plain layouts: images in, heads out, gradients of heads in.
#include <algorithm>

#include "parallel/team.h"
#include "program/cpu/builders.h"

namespace yolo::program {
namespace {

// Pixels of a tile that both layouts touch in whole cache lines.
constexpr int64_t kTile = 64;

void load_plain(const ExecContext& exec, const TensorView& target, float divisor, const uint8_t* images) {
    const int64_t lanes = exec.block, total = exec.batch * target.channels * target.pixels();
    parallel::share(exec.threads, (total + lanes - 1) / lanes, [&](int, int64_t first, int64_t last) {
        const int64_t begin = first * lanes, count = std::min(last * lanes, total) - begin;
        std::byte* to = exec.arena + target.offset + begin * target.element;
        kernels().pixels[format_of(target)](images + begin, count, divisor, to);
    });
}

// Tiles of a blocked view: action(image, first channel, channels, first pixel, pixels, address).
template <class Action>
void each_tile(const ExecContext& exec, const TensorView& view, const Action& action) {
    each_plane(exec, view, [&](int, int64_t n, int64_t b) {
        const int64_t lanes = exec.block, c = b * lanes, channels = std::min(lanes, view.channels - c);
        for (int64_t p = 0; p < view.pixels(); p += kTile) {
            std::byte* tile = exec.at(view, n, b) + p * lanes * view.element;
            action(n, c, channels, p, std::min(kTile, view.pixels() - p), tile);
        }
    });
}

void load_blocked(const ExecContext& exec, const TensorView& target, float divisor, const uint8_t* images) {
    each_tile(exec, target, [&](int64_t n, int64_t c, int64_t channels, int64_t p, int64_t count, std::byte* to) {
        float rows[kMostLanes * kTile];
        for (int64_t k = 0; k < channels; ++k) {
            const int64_t start = (n * target.channels + c + k) * target.pixels() + p;
            kernels().pixels[kFloat32](images + start, count, divisor, rows + k * kTile);
        }
        kernels().blocked[format_of(target)](rows, kTile, channels, count, to);
    });
}

// Bytes as they are, the channels of a pixel together.
void load_bytes(const ExecContext& exec, const TensorView& target, float, const uint8_t* images) {
    const int64_t channels = target.channels, pixels = target.pixels();
    auto* to = reinterpret_cast<uint8_t*>(exec.at(target));
    parallel::share(exec.threads, exec.batch * pixels, [&](int, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end;) {  // image by image
            const int64_t run = std::min(end - i, pixels - i % pixels);
            const uint8_t* const first = images + i / pixels * channels * pixels + i % pixels;
            uint8_t* const place = to + i * channels;
            if (channels == 3) {
                for (int64_t k = 0; k < run; ++k) {
                    place[3 * k] = first[k], place[3 * k + 1] = first[k + pixels], place[3 * k + 2] = first[k + 2 * pixels];
                }
            } else {
                for (int64_t k = 0; k < run * channels; ++k) place[k] = first[k % channels * pixels + k / channels];
            }
            i += run;
        }
    });
}

// A head that has the channels of a pixel together.
void store_together(const ExecContext& exec, const TensorView& source, float* head) {
    constexpr int64_t kRun = 16;  // pixels whose channels stay in the nearest cache while they are turned
    const int64_t channels = source.channels, pixels = source.pixels(), runs = (pixels + kRun - 1) / kRun;
    parallel::share(exec.threads, exec.batch * runs, [&](int, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const auto* from = reinterpret_cast<const float*>(exec.at(source, i / runs));
            float* to = head + i / runs * channels * pixels;
            const int64_t first = i % runs * kRun, stop = std::min(first + kRun, pixels);
            for (int64_t c = 0; c < channels; ++c) {
                for (int64_t pixel = first; pixel < stop; ++pixel) to[c * pixels + pixel] = from[pixel * channels + c];
            }
        }
    });
}

StepInfo info(const ExecContext& exec, const Step& step, const char* kind, const TensorView& view, int64_t outside) {
    const int64_t numbers = exec.batch * view.channels * view.pixels();
    return {kind, step.where, kernels().name, 0.0, numbers * (view.element + outside)};
}

}  // namespace

// Images uint8 [batch, channels, H, W], divided by `divisor`, into a view.
std::vector<CompiledStep> build_load_images(BuildContext& context, const Step& step) {
    const ExecContext exec = context;
    const TensorView target = step.view("target");
    const auto divisor = static_cast<float>(step.real("divisor"));
    const auto load = target.layout == Layout::nhwc ? load_bytes : target.layout == Layout::nchw ? load_plain : load_blocked;
    return {{info(exec, step, "load", target, 1), [=](const Run& run) { load(exec, target, divisor, run.images); }}};
}

// A head, float32 [batch, channels, h, w], out of a view.
std::vector<CompiledStep> build_store_head(BuildContext& context, const Step& step) {
    const ExecContext exec = context;
    const TensorView source = step.view("source");
    const int64_t number = step.number("number");
    return {{info(exec, step, "store", source, 4), [=](const Run& run) {
                 float* head = static_cast<float*>(run.heads[number]);
                 if (source.layout == Layout::nhwc) return store_together(exec, source, head);
                 each_tile(exec, source, [&](int64_t n, int64_t c, int64_t channels, int64_t p, int64_t count,
                                             const std::byte* from) {
                     float* to = head + (n * source.channels + c) * source.pixels() + p;
                     kernels().planar[format_of(source)](from, count, channels, to, source.pixels());
                 });
             }}};
}

// Its gradient into a view.
std::vector<CompiledStep> build_load_head_gradient(BuildContext& context, const Step& step) {
    const ExecContext exec = context;
    const TensorView target = step.view("target");
    const int64_t number = step.number("number");
    return {{info(exec, step, "load", target, 4), [=](const Run& run) {
                 const float* head = static_cast<const float*>(run.head_gradients[number]);
                 each_tile(exec, target, [&](int64_t n, int64_t c, int64_t channels, int64_t p, int64_t count,
                                             std::byte* to) {
                     const float* from = head + (n * target.channels + c) * target.pixels() + p;
                     kernels().blocked[format_of(target)](from, target.pixels(), channels, count, to);
                 });
             }}};
}

}  // namespace yolo::program
