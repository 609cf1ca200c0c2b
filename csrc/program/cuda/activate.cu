#include <algorithm>

#include "program/cuda/norm.h"
#include "program/cuda/tiles.h"

namespace yolo::program::cuda {
namespace {

constexpr int kMostTargets = 4;  // of one kernel

template <class T, Function F>
struct Activate {
    static constexpr int kThreads = Tiles::kThreads;
    Tiles tiles;
    Lines<const T> source, residual;  // the residual's data may be null
    Affine affine;
    int64_t channels;
    float value;
    int count;
    Lines<T> targets[kMostTargets];

    YOLO_DEVICE void operator()(const Block& block) const {
        const Place place = tiles.place(block);
        if (!place.active) return;
        const int c = place.channel;
        const int64_t left = channels - c;
        const Pack centre = channels_of(affine.centre, c, left, 0.0f), scale = channels_of(affine.scale, c, left, 1.0f);
        const Pack shift = channels_of(affine.shift, c, left, 0.0f);
        for (int64_t pixel = place.first; pixel < place.last; pixel += tiles.rows) {
            Pack x = yolo::cuda::load(source.at(pixel, c));
            for (int i = 0; i < kPack; ++i) {
                x.values[i] = apply<F>((x.values[i] - centre.values[i]) * scale.values[i] + shift.values[i], value);
            }
            if (residual.data != nullptr) {
                const Pack added = yolo::cuda::load(residual.at(pixel, c));
                for (int i = 0; i < kPack; ++i) x.values[i] += added.values[i];
            }
            for (int k = 0; k < count; ++k) yolo::cuda::store(targets[k].at(pixel, c), x, left);
        }
    }
};

}  // namespace

void activate(const Map& source, const Affine& affine, const Activation& activation, const Map* residual,
              const std::vector<Map>& targets, Stream stream) {
    const Tiles tiles = each_tiles(source);
    yolo::cuda::with_type(source.number, [&](auto type) {
        with_function(activation.function, [&](auto function) {
            using T = decltype(type);
            Activate<T, decltype(function)::function> kernel{
                tiles, lines<const T>(source), {nullptr, 0}, affine, source.channels, activation.value, 0, {}};
            if (residual != nullptr) kernel.residual = lines<const T>(*residual);
            for (const Map& target : targets) {
                if (kernel.count == kMostTargets) break;
                kernel.targets[kernel.count++] = lines<T>(target);
            }
            yolo::cuda::blocks(stream, tiles.blocks(), 0, kernel);
        });
    });
    if (targets.size() <= kMostTargets) return;
    activate(targets[0], {}, {}, nullptr, {targets.begin() + kMostTargets, targets.end()}, stream);
}

}  // namespace yolo::program::cuda
