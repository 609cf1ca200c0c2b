#include "render/resize.h"

#include <cmath>

namespace yolo::render {
namespace {

constexpr double kLeastShare = 1e-3;  // of a source pixel that counts (OpenCV)

int64_t floor_of(double value) { return static_cast<int64_t>(std::floor(value)); }
int64_t ceil_of(double value) { return static_cast<int64_t>(std::ceil(value)); }

// OpenCV's scale: the inverse of the inverse.
double scale_of(double from, int64_t to) { return 1.0 / (static_cast<double>(to) / from); }

// One side of what a linear resizing does: from how many pixels, where of them the resized ones begin, their distance.
struct Side {
    int64_t from;
    double begin, scale;
};
Side across_of(const Source& from, const Size& to) {
    return {from.size.width, from.extent.x, scale_of(from.extent.width, to.width)};
}
Side down_of(const Source& from, const Size& to) {
    return {from.size.height, from.extent.y, scale_of(from.extent.height, to.height)};
}

// The first of the two pixels of coordinate `at`, -1 to from - 1, and the share of the second.
int64_t first_of(int64_t at, const Side& side, float& share) {
    const float place = static_cast<float>((static_cast<double>(at) + 0.5) * side.scale - 0.5 + side.begin);
    const int64_t first = floor_of(place);
    share = place - static_cast<float>(first);
    return first;
}

Taps tap(int64_t first, float share) {
    const auto weight = [](float part) { return static_cast<int16_t>(std::lrintf(part * (1 << kWeightBits))); };
    return {static_cast<int32_t>(first), {weight(1.0F - share), weight(share)}};
}

// From the pixel `begin` to without `end` of one side.
void span_of(const Side& side, Method method, int64_t& begin, int64_t& end) {
    if (method == Method::area) {
        begin = std::max<int64_t>(floor_of(static_cast<double>(begin) * side.scale), 0);
        end = std::min(ceil_of(static_cast<double>(end) * side.scale), side.from);
        return;
    }
    float share = 0;
    begin = std::clamp<int64_t>(first_of(begin, side, share), 0, side.from - 1);
    end = std::min(first_of(end - 1, side, share) + 2, side.from);
}

void linear(const Pixels& source, const Source& from, const Size& to, const Rect& wanted, const Rect& region,
            int64_t channels, ResizeRoom& room, uint8_t* out, int64_t out_row) {
    const Side across = across_of(from, to), down = down_of(from, to);
    const int64_t length = wanted.width() * channels;
    room.taps.resize(static_cast<size_t>(wanted.width()));
    for (int64_t x = 0; x < wanted.width(); ++x) {
        float share = 0;
        const int64_t first = first_of(wanted.x0 + x, across, share);
        // Beyond the first and last column their own colours go on; beyond rows OpenCV weighs the same row twice.
        const int64_t there = std::clamp<int64_t>(first, 0, across.from - 1);
        room.taps[static_cast<size_t>(x)] = tap(there - region.x0, first < 0 || first >= across.from - 1 ? 0.0F : share);
    }
    int64_t made[2] = {-1, -1};  // which row of the source each row of sums is of
    for (auto& row : room.rows) row.resize(static_cast<size_t>(length) + 4);
    for (int64_t y = 0; y < wanted.height(); ++y) {
        float share = 0;
        const int64_t first = first_of(wanted.y0 + y, down, share) - region.y0;
        const Taps rows = tap(first, share);
        const int32_t* sums[2];
        for (int64_t i = 0; i < 2; ++i) {
            const int64_t number = std::clamp<int64_t>(first + i, 0, region.height() - 1);
            auto& room_of = room.rows[number & 1];
            if (made[number & 1] != number) {
                kernels().across(source.data + number * source.row, room.taps.data(), wanted.width(), channels,
                                 room_of.data());
                made[number & 1] = number;
            }
            sums[i] = room_of.data();
        }
        kernels().down(sums[0], sums[1], rows.weights, length, out + y * out_row);
    }
}

// What each pixel of one side takes of which pixel of the source, first to last (OpenCV).
void shares_of(int64_t from, int64_t to, int64_t begin, int64_t end, int64_t origin, std::vector<Share>& shares) {
    const double scale = scale_of(static_cast<double>(from), to);
    shares.clear();
    for (int64_t at = begin; at < end; ++at) {
        const double low = static_cast<double>(at) * scale, high = low + scale;
        const double width = std::min(scale, static_cast<double>(from) - low);
        const int64_t last = std::min(floor_of(high), from - 1), first = std::min(ceil_of(low), last);
        const auto add = [&](int64_t source, double part) {
            shares.push_back({source - origin, at - begin, static_cast<float>(part / width)});
        };
        if (static_cast<double>(first) - low > kLeastShare) add(first - 1, static_cast<double>(first) - low);
        for (int64_t k = first; k < last; ++k) add(k, 1.0);
        const double rest = high - static_cast<double>(last);
        if (rest > kLeastShare) add(last, std::min(std::min(rest, 1.0), width));
    }
}

void area(const Pixels& source, const Size& from, const Size& to, const Rect& wanted, const Rect& region,
          int64_t channels, ResizeRoom& room, uint8_t* out, int64_t out_row) {
    shares_of(from.width, to.width, wanted.x0, wanted.x1, region.x0, room.across);
    shares_of(from.height, to.height, wanted.y0, wanted.y1, region.y0, room.down);
    const size_t length = static_cast<size_t>(wanted.width() * channels);
    room.sums.assign(length, 0.0F);
    for (size_t k = 0; k < room.down.size(); ++k) {
        const Share& row = room.down[k];
        room.line.assign(length, 0.0F);
        for (const Share& column : room.across) {
            const uint8_t* const at = source.data + row.from * source.row + column.from * channels;
            float* const sum = room.line.data() + column.to * channels;
            for (int64_t c = 0; c < channels; ++c) sum[c] += static_cast<float>(at[c]) * column.part;
        }
        for (size_t i = 0; i < length; ++i) room.sums[i] += row.part * room.line[i];
        if (k + 1 < room.down.size() && room.down[k + 1].to == row.to) continue;
        for (size_t i = 0; i < length; ++i) {
            out[row.to * out_row + static_cast<int64_t>(i)] = static_cast<uint8_t>(std::lrintf(room.sums[i]));
        }
        room.sums.assign(length, 0.0F);
    }
}

// A whole number of pixels becomes one: their mean. Halves are rounded up for four pixels, else to even (OpenCV).
void mean(const Pixels& source, const Size& from, const Size& to, const Rect& wanted, const Rect& region,
          int64_t channels, uint8_t* out, int64_t out_row) {
    const int64_t across = from.width / to.width, down = from.height / to.height;
    const float share = 1.0F / static_cast<float>(across * down);
    for (int64_t y = 0; y < wanted.height(); ++y) {
        const uint8_t* const rows = source.data + ((wanted.y0 + y) * down - region.y0) * source.row;
        for (int64_t k = 0; k < wanted.width() * channels; ++k) {
            const int64_t x = (wanted.x0 + k / channels) * across - region.x0;
            int32_t sum = 0;
            for (int64_t j = 0; j < down; ++j) {
                for (int64_t i = 0; i < across; ++i) sum += rows[j * source.row + (x + i) * channels + k % channels];
            }
            const bool four = across == 2 && down == 2;
            out[y * out_row + k] = static_cast<uint8_t>(four ? (sum + 2) >> 2 : std::lrintf(static_cast<float>(sum) * share));
        }
    }
}

}  // namespace

Method method_of(const Size& from, const Size& to, Fit fit) {
    if (from == to) return Method::none;
    const bool shrinks = to.height < from.height || to.width < from.width;
    const bool halves = from.height == 2 * to.height && from.width == 2 * to.width;
    // By area OpenCV only ever shrinks: an image of which one side grows is resized linearly.
    const bool grows = to.height > from.height || to.width > from.width;
    return halves || (shrinks && !grows && fit == Fit::area) ? Method::area : Method::linear;
}

Rect source_of(const Source& from, const Size& to, const Rect& wanted, Method method) {
    Rect region = wanted;
    if (method == Method::none) return region;
    span_of(across_of(from, to), method, region.x0, region.x1);
    span_of(down_of(from, to), method, region.y0, region.y1);
    return region;
}

void resize(const Pixels& source, const Source& from, const Size& to, const Rect& wanted, Method method,
            int64_t channels, ResizeRoom& room, uint8_t* out, int64_t out_row) {
    const Rect region = source_of(from, to, wanted, method);
    const Size& size = from.size;
    if (method == Method::linear) {
        linear(source, from, to, wanted, region, channels, room, out, out_row);
    } else if (size.width % to.width == 0 && size.height % to.height == 0) {
        mean(source, size, to, wanted, region, channels, out, out_row);
    } else {
        area(source, size, to, wanted, region, channels, room, out, out_row);
    }
}

}  // namespace yolo::render
