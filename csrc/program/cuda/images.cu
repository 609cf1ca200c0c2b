#include "program/cuda/images.h"

#include "cuda/kernel.h"
#include "program/cuda/cells.h"

namespace yolo::program::cuda {
namespace {

using yolo::cuda::Block;
using yolo::cuda::kPack;
using yolo::cuda::Map;
using yolo::cuda::Pack;
using yolo::cuda::Pixels;
using yolo::cuda::Stream;
using yolo::cuda::blocks;
using yolo::cuda::each;
using yolo::cuda::load;
using yolo::cuda::store;
using yolo::cuda::with_type;

// A thread makes a pack of a pixel. Neighbours are neighbouring pixels: images have few channels, so that these touch
// neighbouring bytes of every channel and neighbouring packs of the map.
template <class T>
struct LoadImages {
    const uint8_t* images;
    Pixels<T> target;
    Divisor pixels, plane;  // of the batch, of one image
    int64_t plane_size;
    float divisor;

    YOLO_DEVICE void operator()(int64_t i) const {
        const int64_t number = pixels.quotient(i), pixel = pixels.rest(i, number), channel = number * kPack;
        const int64_t image = plane.quotient(pixel);
        const uint8_t* from = images + (image * target.channels + channel) * plane_size + plane.rest(pixel, image);
        Pack pack;
        for (int k = 0; k < kPack; ++k) {
            const bool real = channel + k < target.channels;
            pack.values[k] = real ? static_cast<float>(from[k * plane_size]) / divisor : 0.0f;
        }
        store(target.at(pixel, channel), pack);
    }
};

// A block turns a tile of an image's map: packs of kTilePixels pixels on one side, rows of kTileLanes channels on the
// other. Rows in shared memory have an odd length, so that a warp's threads touch different banks on both sides.
constexpr int kTilePixels = 64, kTileLanes = 32, kRow = kTilePixels + 1;
constexpr size_t kTileBytes = sizeof(float) * kTileLanes * kRow;

struct HeadTiles {
    int64_t plane, groups, tiles;  // pixels of an image, tiles along its channels and along its pixels

    explicit HeadTiles(const Map& map)
        : plane(map.height * map.width), groups((map.lanes() + kTileLanes - 1) / kTileLanes),
          tiles((plane + kTilePixels - 1) / kTilePixels) {}
    int64_t count(const Map& map) const { return map.images * tiles * groups; }
};

// A thread's part of a block's tile.
struct TilePart {
    int64_t image, pixel, channel;  // where the tile begins
    int pack_pixel, pack_lane;      // of the pack that the thread moves, inside of the tile
    int row_pixel, first_row;       // the thread's pixel in each row, and its first row

    YOLO_DEVICE TilePart(const Block& block, const HeadTiles& tiles) {
        const int64_t group = block.index() % tiles.groups, rest = block.index() / tiles.groups;
        image = rest / tiles.tiles, pixel = rest % tiles.tiles * kTilePixels, channel = group * kTileLanes;
        constexpr int kPacks = kTileLanes / kPack;
        pack_pixel = block.thread() / kPacks, pack_lane = block.thread() % kPacks * static_cast<int>(kPack);
        row_pixel = block.thread() % kTilePixels, first_row = block.thread() / kTilePixels;
    }
};

constexpr int kTileThreads = kTilePixels * kTileLanes / static_cast<int>(kPack);
constexpr int kRowStep = kTileThreads / kTilePixels;

template <class T>
struct StoreHead {
    static constexpr int kThreads = kTileThreads;
    Pixels<T> source;
    float* head;
    HeadTiles tiles;

    YOLO_DEVICE void operator()(const Block& block) const {
        const TilePart part(block, tiles);
        float* const room = block.shared<float>();
        const int64_t pixel = part.pixel + part.pack_pixel, channel = part.channel + part.pack_lane;
        if (pixel < tiles.plane && channel < source.lanes) {
            const Pack pack = load(source.at(part.image * tiles.plane + pixel, channel));
            for (int k = 0; k < kPack; ++k) room[(part.pack_lane + k) * kRow + part.pack_pixel] = pack.values[k];
        }
        block.sync();
        if (part.pixel + part.row_pixel >= tiles.plane) return;
        for (int row = part.first_row; row < kTileLanes && part.channel + row < source.channels; row += kRowStep) {
            const int64_t line = part.image * source.channels + part.channel + row;
            head[line * tiles.plane + part.pixel + part.row_pixel] = room[row * kRow + part.row_pixel];
        }
    }
};

template <class T>
struct LoadHead {
    static constexpr int kThreads = kTileThreads;
    const float* head;
    Pixels<T> target;
    HeadTiles tiles;

    YOLO_DEVICE void operator()(const Block& block) const {
        const TilePart part(block, tiles);
        float* const room = block.shared<float>();
        const bool inside = part.pixel + part.row_pixel < tiles.plane;
        for (int row = part.first_row; row < kTileLanes; row += kRowStep) {
            const bool real = inside && part.channel + row < target.channels;
            const int64_t line = part.image * target.channels + part.channel + row;
            room[row * kRow + part.row_pixel] = real ? head[line * tiles.plane + part.pixel + part.row_pixel] : 0.0f;
        }
        block.sync();
        const int64_t pixel = part.pixel + part.pack_pixel, channel = part.channel + part.pack_lane;
        if (pixel >= tiles.plane || channel >= target.lanes) return;
        Pack pack;
        for (int k = 0; k < kPack; ++k) pack.values[k] = room[(part.pack_lane + k) * kRow + part.pack_pixel];
        store(target.at(part.image * tiles.plane + pixel, channel), pack);
    }
};

}  // namespace

void load_images(const uint8_t* images, const Map& target, float divisor, Stream stream) {
    const int64_t plane = target.height * target.width;
    with_type(target.number, [&](auto type) {
        using T = decltype(type);
        const LoadImages<T> kernel{images, Pixels<T>(target), Divisor(target.pixels()), Divisor(plane), plane, divisor};
        each(stream, target.packs(), kernel);
    });
}

void store_head(const Map& source, float* head, Stream stream) {
    const HeadTiles tiles(source);
    with_type(source.number, [&](auto type) {
        using T = decltype(type);
        blocks(stream, tiles.count(source), kTileBytes, StoreHead<T>{Pixels<T>(source), head, tiles});
    });
}

void load_head(const float* gradient, const Map& target, Stream stream) {
    const HeadTiles tiles(target);
    with_type(target.number, [&](auto type) {
        using T = decltype(type);
        blocks(stream, tiles.count(target), kTileBytes, LoadHead<T>{gradient, Pixels<T>(target), tiles});
    });
}

}  // namespace yolo::program::cuda
