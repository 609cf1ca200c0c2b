// Where a program meets plain layouts: pictures in, heads out, gradients of heads in.
#include <algorithm>
#include <cstring>

#include "parallel/team.h"
#include "program/training/planes.h"

namespace yolo::program::training {
namespace {

// Pixels of a tile that both layouts touch in whole cache lines.
constexpr int64_t kTile = 64;

// `count` numbers of pictures from `start` as floats.
void images_as_floats(const void* images, bool bytes, int64_t start, int64_t count, float* out) {
    if (bytes) {
        loops().pixels[kFloat32](static_cast<const uint8_t*>(images) + start, count, 255.0f, out);
    } else {
        std::memcpy(out, static_cast<const float*>(images) + start, static_cast<size_t>(count) * sizeof(float));
    }
}

Format format_of(const Slice& slice) {
    return slice.wide() ? kFloat32 : kBfloat16;
}

void load_plain(const Place& place, const Slice& target, bool bytes, const void* images) {
    const int64_t lanes = loops().lanes, total = place.batch * target.channels * target.pixels();
    parallel::share(place.threads, (total + lanes - 1) / lanes, [&](int, int64_t first, int64_t last) {
        const int64_t begin = first * lanes, count = std::min(last * lanes, total) - begin;
        std::byte* to = place.arena + target.offset + begin * target.element;
        if (bytes) {
            loops().pixels[format_of(target)](static_cast<const uint8_t*>(images) + begin, count, 255.0f, to);
        } else if (target.wide()) {
            std::memcpy(to, static_cast<const float*>(images) + begin, static_cast<size_t>(count) * sizeof(float));
        } else {
            const auto* from = static_cast<const float*>(images) + begin;
            float rest[kMostLanes] = {}, made[kMostLanes];
            const int64_t whole = count / lanes * lanes, tail = count - whole;
            loops().store[kBfloat16](from, to, count / lanes);
            std::copy_n(from + whole, tail, rest);
            loops().store[kBfloat16](rest, made, 1);
            std::memcpy(to + whole * target.element, made, static_cast<size_t>(tail * target.element));
        }
    });
}

// Tiles of a blocked slice: action(picture, first channel, channels, first pixel, pixels, address).
template <class Action>
void each_tile(const Place& place, const Slice& slice, const Action& action) {
    const int64_t lanes = loops().lanes, blocks = (slice.channels + lanes - 1) / lanes;
    parallel::share(place.threads, place.batch * blocks, [&](int, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const int64_t n = i / blocks, c = i % blocks * lanes, channels = std::min(lanes, slice.channels - c);
            for (int64_t p = 0; p < slice.pixels(); p += kTile) {
                std::byte* tile = place.arena + slice.plane(n, c / lanes, lanes) + p * lanes * slice.element;
                action(n, c, channels, p, std::min(kTile, slice.pixels() - p), tile);
            }
        }
    });
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
