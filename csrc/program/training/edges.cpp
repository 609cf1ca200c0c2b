// Where a program meets plain layouts: pictures in, heads out, gradients of heads in.
#include <algorithm>
#include <cstring>

#include "program/training/planes.h"
#include "program/training/team.h"

namespace yolo::program::training {
namespace {

// Numbers that are converted at once: they stay in the first-level cache.
constexpr int64_t kRun = 1024;

uint16_t narrow(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float widened(uint16_t value) {
    const uint32_t bits = static_cast<uint32_t>(value) << 16;
    float result;
    std::memcpy(&result, &bits, sizeof result);
    return result;
}

float read(const std::byte* from, int64_t i, bool wide) {
    return wide ? reinterpret_cast<const float*>(from)[i] : widened(reinterpret_cast<const uint16_t*>(from)[i]);
}

void write(std::byte* to, int64_t i, bool wide, float value) {
    if (wide) {
        reinterpret_cast<float*>(to)[i] = value;
    } else {
        reinterpret_cast<uint16_t*>(to)[i] = narrow(value);
    }
}

// `count` numbers of pictures from `start` as floats.
void images_as_floats(const void* images, bool bytes, int64_t start, int64_t count, float* out) {
    if (bytes) {
        loops().unit_range(static_cast<const uint8_t*>(images) + start, out, count);
    } else {
        std::memcpy(out, static_cast<const float*>(images) + start, static_cast<size_t>(count) * sizeof(float));
    }
}

void load_plain(const Place& place, const Slice& target, bool bytes, const void* images) {
    const int64_t total = place.batch * target.channels * target.pixels();
    share(place.threads, total, [&](int, int64_t begin, int64_t end) {
        float run[kRun];
        for (int64_t i = begin; i < end; i += kRun) {
            const int64_t count = std::min(kRun, end - i);
            images_as_floats(images, bytes, i, count, run);
            std::byte* to = place.arena + target.offset + i * target.element;
            for (int64_t k = 0; k < count; ++k) write(to, k, target.wide(), run[k]);
        }
    });
}

// Rows of plain channels to or from a blocked slice: action(picture, channel, first pixel, count, blocked address).
template <class Action>
void each_row(const Place& place, const Slice& slice, const Action& action) {
    const int64_t lanes = loops().lanes, blocks = (slice.channels + lanes - 1) / lanes;
    constexpr int64_t kPixels = 64;  // a tile that both layouts touch in whole cache lines
    share(place.threads, place.batch * blocks, [&](int, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const int64_t n = i / blocks, b = i % blocks;
            for (int64_t p = 0; p < slice.pixels(); p += kPixels) {
                const int64_t count = std::min(kPixels, slice.pixels() - p);
                std::byte* tile = place.arena + slice.plane(n, b, lanes) + p * lanes * slice.element;
                for (int64_t c = 0; c < lanes; ++c) action(n, b * lanes + c, p, count, tile + c * slice.element);
            }
        }
    });
}

void load_blocked(const Place& place, const Slice& target, bool bytes, const void* images) {
    const int64_t lanes = loops().lanes, pixels = target.pixels();
    each_row(place, target, [&](int64_t n, int64_t c, int64_t p, int64_t count, std::byte* to) {
        float run[kRun] = {};
        if (c < target.channels) images_as_floats(images, bytes, (n * target.channels + c) * pixels + p, count, run);
        for (int64_t k = 0; k < count; ++k) write(to, k * lanes, target.wide(), run[k]);
    });
}

}  // namespace

Step load_images(const Place& place, const Slice& target, bool bytes) {
    StepInfo info{"input", "load", loops().name};
    info.bytes = place.batch * target.channels * target.pixels() * (target.element + (bytes ? 1 : 4));
    return {info, [=](const Run& run) {
                (target.plain ? load_plain : load_blocked)(place, target, bytes, run.images);
            }};
}

Step store_head(const Place& place, const std::string& where, const Slice& source, int64_t number) {
    StepInfo info{where, "store", "transposing"};
    info.bytes = place.batch * source.channels * source.pixels() * (source.element + 4);
    return {info, [=](const Run& run) {
                const int64_t lanes = loops().lanes;
                float* head = static_cast<float*>(run.heads[number]);
                each_row(place, source, [&](int64_t n, int64_t c, int64_t p, int64_t count, const std::byte* from) {
                    if (c >= source.channels) return;
                    float* to = head + (n * source.channels + c) * source.pixels() + p;
                    for (int64_t k = 0; k < count; ++k) to[k] = read(from, k * lanes, source.wide());
                });
            }};
}

Step load_head_gradient(const Place& place, const std::string& where, const Slice& target, int64_t number) {
    StepInfo info{where, "load", "transposing"};
    info.bytes = place.batch * target.channels * target.pixels() * (target.element + 4);
    return {info, [=](const Run& run) {
                const int64_t lanes = loops().lanes;
                const float* head = static_cast<const float*>(run.head_gradients[number]);
                each_row(place, target, [&](int64_t n, int64_t c, int64_t p, int64_t count, std::byte* to) {
                    const bool inside = c < target.channels;
                    const float* from = head + (inside ? (n * target.channels + c) * target.pixels() + p : 0);
                    for (int64_t k = 0; k < count; ++k) write(to, k * lanes, target.wide(), inside ? from[k] : 0.0f);
                });
            }};
}

}  // namespace yolo::program::training
