// Where a program meets plain layouts: pictures in, heads out, gradients of heads in.
#include <algorithm>
#include <cstring>

#include "program/team.h"
#include "program/training/planes.h"

namespace yolo::program::training {
namespace {

// Numbers that are converted at once: they stay in the first-level cache.
constexpr int64_t kRun = 1024;
// Pixels of a tile that both layouts touch in whole cache lines, and the most numbers of a vector.
constexpr int64_t kTile = 64, kMostLanes = 16;

uint16_t narrow(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
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

// Tiles of a blocked slice: action(picture, first channel, channels, first pixel, pixels, address).
template <class Action>
void each_tile(const Place& place, const Slice& slice, const Action& action) {
    const int64_t lanes = loops().lanes, blocks = (slice.channels + lanes - 1) / lanes;
    share(place.threads, place.batch * blocks, [&](int, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const int64_t n = i / blocks, c = i % blocks * lanes, channels = std::min(lanes, slice.channels - c);
            for (int64_t p = 0; p < slice.pixels(); p += kTile) {
                std::byte* tile = place.arena + slice.plane(n, c / lanes, lanes) + p * lanes * slice.element;
                action(n, c, channels, p, std::min(kTile, slice.pixels() - p), tile);
            }
        }
    });
}

Format format_of(const Slice& slice) {
    return slice.wide() ? kFloat32 : kBfloat16;
}

void load_blocked(const Place& place, const Slice& target, bool bytes, const void* images) {
    each_tile(place, target, [&](int64_t n, int64_t c, int64_t channels, int64_t p, int64_t count, std::byte* to) {
        float rows[kMostLanes * kTile];
        for (int64_t k = 0; k < channels; ++k) {
            const int64_t start = (n * target.channels + c + k) * target.pixels() + p;
            images_as_floats(images, bytes, start, count, rows + k * kTile);
        }
        loops().blocked[format_of(target)](rows, kTile, channels, count, to);
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
    StepInfo info{where, "store", loops().name};
    info.bytes = place.batch * source.channels * source.pixels() * (source.element + 4);
    return {info, [=](const Run& run) {
                float* head = static_cast<float*>(run.heads[number]);
                each_tile(place, source, [&](int64_t n, int64_t c, int64_t channels, int64_t p, int64_t count,
                                             const std::byte* from) {
                    float* to = head + (n * source.channels + c) * source.pixels() + p;
                    loops().planar[format_of(source)](from, count, channels, to, source.pixels());
                });
            }};
}

Step load_head_gradient(const Place& place, const std::string& where, const Slice& target, int64_t number) {
    StepInfo info{where, "load", loops().name};
    info.bytes = place.batch * target.channels * target.pixels() * (target.element + 4);
    return {info, [=](const Run& run) {
                const float* head = static_cast<const float*>(run.head_gradients[number]);
                each_tile(place, target, [&](int64_t n, int64_t c, int64_t channels, int64_t p, int64_t count,
                                             std::byte* to) {
                    const float* from = head + (n * target.channels + c) * target.pixels() + p;
                    loops().blocked[format_of(target)](from, target.pixels(), channels, count, to);
                });
            }};
}

}  // namespace yolo::program::training
