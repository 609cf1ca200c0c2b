// Moves of single channels: slow and general, for channels that do not fill blocks.
#include <cstring>

#include "parallel/team.h"
#include "program/training/planes.h"

namespace yolo::program::training {
namespace {

// The address of channel `channel` of picture `n` at pixel 0; pixels lie `lanes` numbers apart.
template <class Element>
Element* channel_at(const Place& place, const Slice& slice, int64_t n, int64_t channel) {
    const int64_t lanes = loops().lanes;
    std::byte* plane = place.arena + slice.plane(n, channel / lanes, lanes);
    return reinterpret_cast<Element*>(plane) + channel % lanes;
}

void clear_picture(const Place& place, const Slice& slice, int64_t n) {
    const int64_t lanes = loops().lanes, blocks = (slice.channels + lanes - 1) / lanes;
    std::memset(place.arena + slice.plane(n, 0, lanes), 0,
                static_cast<size_t>(blocks * lanes * slice.pixels() * slice.element));
}

// Calls action(fine element, coarse element) for all pairs inside the fine map.
template <class Element, class Action>
void each_pair(const Place& place, const Slice& fine, const Slice& coarse, const std::vector<Link>& links,
               int64_t stride, int64_t n, const Action& action) {
    const int64_t lanes = loops().lanes;
    for (size_t i = 0; i < links.size(); ++i) {
        const Link& link = links[i];
        Element* far = channel_at<Element>(place, fine, n, link.channel);
        Element* near = channel_at<Element>(place, coarse, n, static_cast<int64_t>(i));
        for (int64_t y = 0; y < coarse.height; ++y) {
            const int64_t row = y * stride + link.dy;
            if (row < 0 || row >= fine.height) continue;
            for (int64_t x = 0; x < coarse.width; ++x) {
                const int64_t column = x * stride + link.dx;
                if (column < 0 || column >= fine.width) continue;
                action(far[(row * fine.width + column) * lanes], near[(y * coarse.width + x) * lanes]);
            }
        }
    }
}

template <class Element>
void move(const Place& place, const Slice& fine, const Slice& coarse, const std::vector<Link>& links, int64_t stride,
          bool to_fine, bool clear) {
    parallel::share(place.threads, place.batch, [&](int, int64_t begin, int64_t end) {
        for (int64_t n = begin; n < end; ++n) {
            if (clear) clear_picture(place, to_fine ? fine : coarse, n);
            each_pair<Element>(place, fine, coarse, links, stride, n, [&](Element& far, Element& near) {
                if (to_fine) {
                    far = near;
                } else {
                    near = far;
                }
            });
        }
    });
}

Step moving(const Place& place, const std::string& where, const Slice& fine, const Slice& coarse,
            std::vector<Link> links, int64_t stride, bool to_fine, bool clear) {
    StepInfo info{where, to_fine ? "spread" : "collect", "one channel at a time"};
    info.bytes = place.batch * coarse.channels * coarse.pixels() * coarse.element * 2;
    return {info, [=](const Run&) {
                if (fine.wide()) {
                    move<uint32_t>(place, fine, coarse, links, stride, to_fine, clear);
                } else {
                    move<uint16_t>(place, fine, coarse, links, stride, to_fine, clear);
                }
            }};
}

}  // namespace

Step collect(const Place& place, const std::string& where, const Slice& fine, const Slice& coarse,
             std::vector<Link> links, int64_t stride) {
    return moving(place, where, fine, coarse, std::move(links), stride, false, true);
}

Step spread(const Place& place, const std::string& where, const Slice& fine, const Slice& coarse,
            std::vector<Link> links, int64_t stride, bool clear) {
    return moving(place, where, fine, coarse, std::move(links), stride, true, clear);
}

}  // namespace yolo::program::training
