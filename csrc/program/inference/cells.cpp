// Steps that move numbers to other cells: zeros around a map, cells to channels and back.
#include <algorithm>
#include <cstring>

#include "parallel/team.h"
#include "program/inference/elements.h"
#include "program/inference/program.h"

namespace yolo::program {

namespace {

int64_t step_of(const View& view) {
    return view.plain ? 1 : channel_block();
}

template <class Element>
void copy_run(const std::byte* from, const InferenceProgram::Run& run, std::byte* to) {
    const auto* source = reinterpret_cast<const Element*>(from) + run.from;
    auto* target = reinterpret_cast<Element*>(to) + run.to;
    for (int64_t i = 0; i < run.count; ++i) target[i * run.to_step] = source[i * run.from_step];
}

}  // namespace

// Calls run(channel, row) for `channels` and `rows` of one of the two maps and copies what that says.
void InferenceProgram::cells(const std::string& kind, const std::string& where, const View& from, const View& to,
                             const View& walked, bool clear, std::function<Run(int64_t, int64_t)> run) {
    const int64_t size = element(), bytes = 2 * to.channels * to.pixels() * size;
    step({kind, where, "own", 0.0, bytes, 0.0}, [=] {
        if (clear) std::memset(at(to), 0, static_cast<size_t>(padded_channels(to.channels) * to.pixels() * size));
        clear_tail(at(to), to, size);
        const int64_t block = channel_block(), blocks = padded_channels(walked.channels) / block;
        parallel::share(threads_, blocks, [&](int, int64_t begin, int64_t end) {
            for (int64_t c = begin * block; c < std::min(end * block, walked.channels); ++c) {
                for (int64_t row = 0; row < walked.height; ++row) {
                    (bf16_ ? copy_run<uint16_t> : copy_run<uint32_t>)(at(from), run(c, row), at(to));
                }
            }
        });
    });
}

// Maps whose cells become others; only the pictures are plain.
void InferenceProgram::check_cells(const std::string& where, const View& from, const View& to) const {
    check(where, from);
    check(where, to);
    require(!from.last, where, "takes no maps whose channels lie together");
    require_blocked(where, to);
}

void InferenceProgram::pad(const std::string& where, const View& from, const View& to, int64_t left, int64_t top) {
    check_cells(where, from, to);
    require(from.channels == to.channels && left >= 0 && top >= 0 && left <= to.width - from.width &&
                top <= to.height - from.height,
            where, "its output has another size");
    const Place source(from), target(to);
    cells("pad", where, from, to, from, true, [=](int64_t c, int64_t row) {
        return Run{source(c, row * from.width), step_of(from), target(c, (row + top) * to.width + left), step_of(to),
                   from.width};
    });
}

void InferenceProgram::space_to_depth(const std::string& where, const View& from, const View& to, int64_t gain,
                                      bool column_major) {
    check_cells(where, from, to);
    require(gain >= 1 && gain <= kMostSide && to.channels / gain / gain == from.channels &&
                to.channels % (gain * gain) == 0 && to.height == from.height / gain && to.width == from.width / gain,
            where, "its output has another shape");
    const Place source(from), target(to);
    cells("space_to_depth", where, from, to, to, false, [=](int64_t c, int64_t row) {
        const int64_t part = c / from.channels;
        const int64_t dy = column_major ? part % gain : part / gain, dx = column_major ? part / gain : part % gain;
        return Run{source(c % from.channels, (row * gain + dy) * from.width + dx), gain * step_of(from),
                   target(c, row * to.width), step_of(to), to.width};
    });
}

void InferenceProgram::depth_to_space(const std::string& where, const View& from, const View& to, int64_t gain) {
    check_cells(where, from, to);
    require(gain >= 1 && gain <= kMostSide && from.channels / gain / gain == to.channels &&
                from.channels % (gain * gain) == 0 && to.height == from.height * gain && to.width == from.width * gain,
            where, "its output has another shape");
    const Place source(from), target(to);
    cells("depth_to_space", where, from, to, from, false, [=](int64_t c, int64_t row) {
        const int64_t part = c / to.channels, dy = part / gain, dx = part % gain;
        return Run{source(c, row * from.width), step_of(from),
                   target(c % to.channels, (row * gain + dy) * to.width + dx), gain * step_of(to), from.width};
    });
}

}  // namespace yolo::program
