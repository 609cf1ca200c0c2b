// Moves of channels. Which packs move as a whole, and which lanes become zero first, is found out here.
#include <algorithm>
#include <set>
#include <utility>

#include "program/cuda/builders.h"
#include "program/cuda/moves.h"

namespace yolo::program::cuda {
namespace {

using yolo::cuda::kPack;

struct Move {
    Map fine, coarse;
    std::vector<Link> links;  // of each coarse channel
    int64_t stride;
    bool to_fine;

    Move(const BuildContext& context, const Step& step, bool writes_fine)
        : fine(context.map(step.view("fine"))), coarse(context.map(step.view("coarse"))), stride(step.number("stride")),
          to_fine(writes_fine) {
        const Numbers& index = step.numbers("index");
        const auto number = [&](size_t i) { return static_cast<int32_t>(index[i]); };
        for (size_t i = 0; i + 2 < index.size(); i += 3) links.push_back({number(i), number(i + 1), number(i + 2)});
    }
    bool moves_whole(int64_t pack) const;
    std::vector<uint8_t> whole_packs() const {
        std::vector<uint8_t> all;
        for (int64_t pack = 0; pack < coarse.lanes() / kPack; ++pack) all.push_back(moves_whole(pack));
        return all;
    }
};

bool Move::moves_whole(int64_t pack) const {
    const int64_t begin = pack * kPack, count = std::min(kPack, coarse.channels - begin);
    const Link& first = links[static_cast<size_t>(begin)];
    for (int64_t i = 0; i < count; ++i) {
        const Link& link = links[static_cast<size_t>(begin + i)];
        if (link.channel != first.channel + i || link.dy != first.dy || link.dx != first.dx) return false;
    }
    const bool ends = !to_fine || first.channel + count == fine.channels;
    return first.channel % kPack == 0 && (count == kPack || ends);
}

// Whether every pixel of a fine map that a link can reach, every stride-th one in both directions, is reached.
bool fills(const Move& move, const Link& link) {
    const auto along = [&](int64_t shift, int64_t fine, int64_t coarse) {
        return shift < move.stride && shift + coarse * move.stride >= fine;
    };
    return along(link.dy, move.fine.height, move.coarse.height) && along(link.dx, move.fine.width, move.coarse.width);
}

// Of each pack of the fine map whether all of its lanes are written.
std::vector<bool> filled_packs(const Move& move, const std::vector<uint8_t>& whole) {
    const auto rest = [&](int64_t shift) { return (shift % move.stride + move.stride) % move.stride; };
    std::vector<std::set<std::pair<int64_t, int64_t>>> phases(static_cast<size_t>(move.fine.channels));
    std::vector<bool> filled(static_cast<size_t>(move.fine.lanes() / kPack), true);
    for (size_t i = 0; i < move.links.size(); ++i) {
        const Link& link = move.links[i];
        if (fills(move, link)) phases[static_cast<size_t>(link.channel)].insert({rest(link.dy), rest(link.dx)});
        // Only whole packs have zeros behind the last channel.
        const bool last = move.fine.channels - link.channel / kPack * kPack < kPack;
        if (last && !whole[i / kPack]) filled.back() = false;
    }
    for (size_t channel = 0; channel < phases.size(); ++channel) {
        const auto found = static_cast<int64_t>(phases[channel].size());
        if (found != move.stride * move.stride) filled[channel / kPack] = false;
    }
    return filled;
}

// What becomes zero before a scatter: what it leaves, or the lanes behind the last channel alone.
std::vector<Lanes> cleared_lanes(const Move& move, const std::vector<uint8_t>& whole, bool clear) {
    const std::vector<bool> filled = filled_packs(move, whole);
    std::vector<Lanes> cleared;
    for (size_t pack = 0; pack < filled.size(); ++pack) {
        const auto number = static_cast<int32_t>(pack);
        const int64_t channels = move.fine.channels - number * kPack;
        if (filled[pack]) continue;
        if (clear) {
            cleared.push_back({number, 0});
        } else if (channels < kPack) {
            cleared.push_back({number, static_cast<int32_t>(channels)});
        }
    }
    return cleared;
}

// The move's tables on the device.
struct Tables {
    std::shared_ptr<DeviceBuffer> channels, whole;
    int64_t stride;

    Tables(const BuildContext& context, const Move& move, const std::vector<uint8_t>& whole_packs)
        : channels(context.upload(move.links)), whole(context.upload(whole_packs)), stride(move.stride) {}
    Links links() const {
        return {reinterpret_cast<const Link*>(channels->data()), reinterpret_cast<const uint8_t*>(whole->data()),
                stride};
    }
};

StepInfo info(const Move& move, const Step& step, const std::vector<uint8_t>& whole) {
    const bool all = std::all_of(whole.begin(), whole.end(), [](uint8_t one) { return one != 0; });
    const int64_t bytes = move.coarse.pixels() * move.coarse.channels * step.view("coarse").element * 2;
    return {step.kind, step.where, all ? "whole packs" : "single channels", 0.0, bytes};
}

}  // namespace

// coarse = fine, zeros where that lies outside.
std::vector<CompiledStep> build_gather(BuildContext& context, const Step& step) {
    const Move move(context, step, false);
    const std::vector<uint8_t> whole = move.whole_packs();
    const Tables tables(context, move, whole);
    const Map fine = move.fine, coarse = move.coarse;
    return {{info(move, step, whole), [=](const Run& run) { gather(fine, coarse, tables.links(), run.stream); }}};
}

// fine = coarse where they meet; what else is in `fine` becomes zero first if `clear`.
std::vector<CompiledStep> build_scatter(BuildContext& context, const Step& step) {
    const Move move(context, step, true);
    const std::vector<uint8_t> whole = move.whole_packs();
    const Tables tables(context, move, whole);
    const std::vector<Lanes> cleared = cleared_lanes(move, whole, step.flag("clear"));
    const auto lanes = context.upload(cleared);
    const auto count = static_cast<int64_t>(cleared.size());
    const Map fine = move.fine, coarse = move.coarse;
    return {{info(move, step, whole), [=](const Run& run) {
                 clear_lanes(fine, reinterpret_cast<const Lanes*>(lanes->data()), count, run.stream);
                 scatter(coarse, fine, tables.links(), run.stream);
             }}};
}

}  // namespace yolo::program::cuda
