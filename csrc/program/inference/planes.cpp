// Steps over whole planes by our own loops: upsampling, and pools for which oneDNN has no fast kernel.
#include <cstddef>

#include "parallel/team.h"
#include "program/inference/program.h"
#include "program/kernels/kernels.h"

namespace yolo::program {

// Calls loop(source plane, target plane) for each channel block.
void InferenceProgram::planes(StepInfo info, const View& from, const View& to,
                              std::function<void(const void*, void*)> loop) {
    info.implementation = kernels().name;
    info.bytes = (from.pixels() + to.pixels()) * padded_channels(to.channels) * (bf16_ ? 2 : 4);
    step(std::move(info), [=] {
        const int64_t cell = channel_block() * (bf16_ ? 2 : 4), blocks = padded_channels(to.channels) / channel_block();
        parallel::share(threads_, blocks, [&](int, int64_t begin, int64_t end) {
            for (int64_t b = begin; b < end; ++b) {
                loop(at(from) + b * from.pixels() * cell, at(to) + b * to.pixels() * cell);
            }
        });
    });
}

void InferenceProgram::upsample(const std::string& where, const View& from, const View& to, int64_t scale) {
    check_blocked(where, from, to);
    require_scaled(where, from, to, scale);
    const Window window{from.height, from.width, to.height, to.width, scale, scale, 0};
    const auto loop = kernels().upsample[bf16_ ? kBfloat16 : kFloat32];
    planes({"upsample", where, "", 0.0, 0, 0.0}, from, to, [=](const void* x, void* out) { loop(x, window, out); });
}

void InferenceProgram::bilinear(const std::string& where, const View& from, const View& to, int64_t scale) {
    check_blocked(where, from, to);
    require_scaled(where, from, to, scale);
    const Window window{from.height, from.width, to.height, to.width, scale, scale, 0};
    const auto loop = kernels().bilinear[bf16_ ? kBfloat16 : kFloat32];
    planes({"bilinear", where, "", 0.0, 0, 0.0}, from, to, [=](const void* x, void* out) { loop(x, window, out); });
}

void InferenceProgram::own_pool(const std::string& where, const View& from, const View& to, int64_t kernel,
                                int64_t stride, int64_t padding, bool average) {
    const Window window{from.height, from.width, to.height, to.width, kernel, stride, padding};
    const Format format = bf16_ ? kBfloat16 : kFloat32;
    const auto mean = kernels().average_pool[format];
    const auto most = kernels().max_pool[format][kNone];
    planes({"pool", where, "", 0.0, 0, 0.0}, from, to, [=](const void* x, void* out) {
        if (average) {
            mean(x, window, out);
        } else {
            most(x, window, out, nullptr);
        }
    });
}

}  // namespace yolo::program
