#include "program/cuda/moves.h"

#include "cuda/kernel.h"
#include "program/cuda/cells.h"

namespace yolo::program::cuda {
namespace {

using yolo::cuda::each;
using yolo::cuda::kPack;
using yolo::cuda::Map;
using yolo::cuda::Pixels;
using yolo::cuda::Stream;

// Calls action(T()) with a type of numbers of the map's size: they are moved as they are.
template <class Action>
void with_size(const Map& map, const Action& action) {
    if (bytes_of(map.number) == 4) return action(uint32_t());
    action(uint16_t());
}

// In both directions a thread moves one pack of the coarse map.
template <class T>
struct Meeting {
    Pixels<T> fine, coarse;
    Cells cells;
    Links links;

    Meeting(const Map& far, const Map& near, const Links& l) : fine(far), coarse(near), cells(near), links(l) {}
    // Where the channel is in the fine map; null where that is outside.
    YOLO_DEVICE T* far(const Cell& cell, const Link& link) const {
        const int64_t y = cell.y * links.stride + link.dy, x = cell.x * links.stride + link.dx;
        const bool inside = y >= 0 && y < fine.height && x >= 0 && x < fine.width;
        return inside ? fine.at(cell.image, y, x, link.channel) : nullptr;
    }
    YOLO_DEVICE T* near(const Cell& cell) const { return coarse.at(cell.pixel, cell.channel); }
    YOLO_DEVICE bool whole(const Cell& cell) const { return links.whole[cell.channel / kPack] != 0; }
    YOLO_DEVICE const Link* channels(const Cell& cell) const { return links.channels + cell.channel; }
    // Of the pack.
    YOLO_DEVICE int count(const Cell& cell) const {
        const int64_t rest = coarse.channels - cell.channel;
        return static_cast<int>(rest < kPack ? rest : kPack);
    }
};

// Zeros behind the last channel.
template <class T>
YOLO_DEVICE Packed<T> ended(Packed<T> pack, int count) {
    for (int k = 0; k < kPack; ++k) pack.values[k] = k < count ? pack.values[k] : T{};
    return pack;
}

template <class T>
struct Gather {
    Meeting<T> meeting;

    YOLO_DEVICE void operator()(int64_t i) const {
        const Cell cell = meeting.cells.at(i);
        const int count = meeting.count(cell);
        const Link* const links = meeting.channels(cell);
        Packed<T> pack;
        if (meeting.whole(cell)) {
            const T* const from = meeting.far(cell, links[0]);
            pack = from == nullptr ? Packed<T>{} : ended(packed(from), count);
        } else {
            for (int k = 0; k < kPack; ++k) {
                const T* const from = k < count ? meeting.far(cell, links[k]) : nullptr;
                pack.values[k] = from == nullptr ? T{} : *from;
            }
        }
        put(meeting.near(cell), pack);
    }
};

template <class T>
struct Scatter {
    Meeting<T> meeting;

    YOLO_DEVICE void operator()(int64_t i) const {
        const Cell cell = meeting.cells.at(i);
        const int count = meeting.count(cell);
        const Link* const links = meeting.channels(cell);
        const Packed<T> pack = packed(meeting.near(cell));
        if (meeting.whole(cell)) {
            T* const to = meeting.far(cell, links[0]);
            if (to != nullptr) put(to, ended(pack, count));
            return;
        }
        for (int k = 0; k < kPack; ++k) {
            T* const to = k < count ? meeting.far(cell, links[k]) : nullptr;
            if (to != nullptr) *to = pack.values[k];
        }
    }
};

template <class T>
struct ClearLanes {
    Pixels<T> map;
    const Lanes* lanes;
    Divisor count;

    YOLO_DEVICE void operator()(int64_t i) const {
        const int64_t pixel = count.quotient(i);
        const Lanes cleared = lanes[count.rest(i, pixel)];
        T* const to = map.at(pixel, cleared.pack * kPack);
        if (cleared.first == 0) return put(to, Packed<T>{});
        for (int k = 0; k < kPack; ++k) {
            if (k >= cleared.first) to[k] = T{};
        }
    }
};

}  // namespace

void gather(const Map& fine, const Map& coarse, const Links& links, Stream stream) {
    with_size(coarse, [&](auto type) {
        using T = decltype(type);
        each(stream, coarse.packs(), Gather<T>{Meeting<T>(fine, coarse, links)});
    });
}

void scatter(const Map& coarse, const Map& fine, const Links& links, Stream stream) {
    with_size(coarse, [&](auto type) {
        using T = decltype(type);
        each(stream, coarse.packs(), Scatter<T>{Meeting<T>(fine, coarse, links)});
    });
}

void clear_lanes(const Map& map, const Lanes* lanes, int64_t count, Stream stream) {
    if (count == 0) return;
    with_size(map, [&](auto type) {
        using T = decltype(type);
        each(stream, map.pixels() * count, ClearLanes<T>{Pixels<T>(map), lanes, Divisor(count)});
    });
}

}  // namespace yolo::program::cuda
