// Moves of single channels: slow and general, for channels that do not fill blocks.
#include <algorithm>
#include <cstring>

#include "parallel/team.h"
#include "program/cpu/builders.h"

namespace yolo::program {
namespace {

// Channel `channel` of `fine` at (y * stride + dy, x * stride + dx) belongs to a channel of `coarse` at (y, x).
struct Link {
    int64_t channel, dy, dx;
};

struct Move {
    ExecContext exec;
    TensorView fine, coarse;
    std::vector<Link> links;  // of each coarse channel
    int64_t stride;
    bool to_fine, clear;  // clear: what else is in the target becomes zero first

    const TensorView& target() const { return to_fine ? fine : coarse; }
};

// The address of channel `channel` of image `n` at pixel 0, and how many numbers lie between pixels.
template <class Number>
std::pair<Number*, int64_t> channel_at(const ExecContext& exec, const TensorView& view, int64_t n, int64_t channel) {
    if (view.layout == Layout::nchw) {
        std::byte* image = exec.arena + view.offset + n * view.image_bytes();
        return {reinterpret_cast<Number*>(image) + channel * view.pixels(), 1};
    }
    std::byte* plane = exec.at(view, n, channel / exec.block);
    return {reinterpret_cast<Number*>(plane) + channel % exec.block, exec.block};
}

void clear_image(const ExecContext& exec, const TensorView& view, int64_t n) {
    const int64_t channels = exec.blocks(view) * exec.block;
    std::memset(exec.at(view, n), 0, static_cast<size_t>(channels * view.pixels() * view.element));
}

// Zeros in the lanes behind the last channel, which convolutions read along with the others.
void clear_tail(const ExecContext& exec, const TensorView& view, int64_t n) {
    const int64_t used = view.channels % exec.block, rest = exec.block - used;
    if (used == 0) return;
    std::byte* last = exec.at(view, n, exec.blocks(view) - 1);
    for (int64_t pixel = 0; pixel < view.pixels(); ++pixel) {
        std::memset(last + (pixel * exec.block + used) * view.element, 0, static_cast<size_t>(rest * view.element));
    }
}

// Pixels of a row or column of `coarse` whose partners lie inside the fine map: from the first to before the second.
std::pair<int64_t, int64_t> inside(int64_t shift, int64_t stride, int64_t fine, int64_t coarse) {
    const int64_t first = shift < 0 ? (-shift + stride - 1) / stride : 0;
    const int64_t end = shift >= fine ? 0 : (fine - shift + stride - 1) / stride;
    return {first, std::min(coarse, end)};
}

template <class Number>
void move_channel(const Move& move, int64_t n, int64_t i) {
    const Link& link = move.links[static_cast<size_t>(i)];
    const auto [far, far_step] = channel_at<Number>(move.exec, move.fine, n, link.channel);
    const auto [near, near_step] = channel_at<Number>(move.exec, move.coarse, n, i);
    const auto [top, bottom] = inside(link.dy, move.stride, move.fine.height, move.coarse.height);
    const auto [left, right] = inside(link.dx, move.stride, move.fine.width, move.coarse.width);
    for (int64_t y = top; y < bottom; ++y) {
        Number* there = far + ((y * move.stride + link.dy) * move.fine.width + link.dx) * far_step;
        Number* here = near + y * move.coarse.width * near_step;
        for (int64_t x = left; x < right; ++x) {
            Number &a = there[x * move.stride * far_step], &b = here[x * near_step];
            if (move.to_fine) {
                a = b;
            } else {
                b = a;
            }
        }
    }
}

template <class Number>
void move_all(const Move& move) {
    const int64_t channels = static_cast<int64_t>(move.links.size()), batch = move.exec.batch;
    parallel::share(move.exec.threads, batch, [&](int, int64_t begin, int64_t end) {
        for (int64_t n = begin; n < end; ++n) (move.clear ? clear_image : clear_tail)(move.exec, move.target(), n);
    });
    // All channels of a block by one thread: their numbers share cache lines.
    const int64_t blocks = (channels + move.exec.block - 1) / move.exec.block;
    parallel::share(move.exec.threads, batch * blocks, [&](int, int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; ++k) {
            const int64_t first = k % blocks * move.exec.block, last = std::min(channels, first + move.exec.block);
            for (int64_t i = first; i < last; ++i) move_channel<Number>(move, k / blocks, i);
        }
    });
}

// Whether whole blocks of the target come from whole blocks, with what lies behind their last channels.
bool moves_blocks(const Move& m) {
    const int64_t count = m.coarse.channels, start = m.links[0].channel;
    for (int64_t i = 0; i < count; ++i) {
        const Link& link = m.links[static_cast<size_t>(i)];
        if (link.channel != start + i || link.dy != 0 || link.dx != 0) return false;
    }
    const bool ends = start + count == m.fine.channels;
    return m.stride == 1 && m.fine.height == m.coarse.height && m.fine.width == m.coarse.width &&
           m.fine.layout == Layout::blocked && m.coarse.layout == Layout::blocked && start % m.exec.block == 0 &&
           (ends || (count % m.exec.block == 0 && (!m.to_fine || m.fine.channels % m.exec.block == 0)));
}

void move_blocks(const Move& m) {
    const int64_t first = m.links[0].channel / m.exec.block;
    const auto bytes = static_cast<size_t>(m.exec.block * m.coarse.pixels() * m.coarse.element);
    each_plane(m.exec, m.coarse, [&](int, int64_t n, int64_t b) {
        std::byte *far = m.exec.at(m.fine, n, first + b), *near = m.exec.at(m.coarse, n, b);
        std::memmove(m.to_fine ? far : near, m.to_fine ? near : far, bytes);
    });
}

std::vector<CompiledStep> moving(const ExecContext& exec, const Step& step, bool to_fine, bool clear) {
    const Numbers& index = step.numbers("index");
    const auto move = std::make_shared<Move>(
        Move{exec, step.view("fine"), step.view("coarse"), {}, step.number("stride"), to_fine, clear});
    for (size_t i = 0; i + 2 < index.size(); i += 3) move->links.push_back({index[i], index[i + 1], index[i + 2]});
    const bool whole = moves_blocks(*move);
    const bool partly = to_fine && move->clear && move->coarse.channels != move->fine.channels;
    const int64_t bytes = exec.batch * move->coarse.channels * move->coarse.pixels() * move->coarse.element * 2;
    const StepInfo info{step.kind, step.where, whole && !partly ? "memcpy" : "one channel at a time", 0.0, bytes};
    return {{info, [=](const Run&) {
                 if (whole && !partly) return move_blocks(*move);
                 (move->fine.wide() ? move_all<uint32_t> : move_all<uint16_t>)(*move);
             }}};
}

}  // namespace

// coarse = fine, zeros where that lies outside.
std::vector<CompiledStep> build_gather(BuildContext& context, const Step& step) {
    return moving(context, step, false, true);
}

// fine = coarse where they meet; what else is in `fine` becomes zero first if `clear`.
std::vector<CompiledStep> build_scatter(BuildContext& context, const Step& step) {
    return moving(context, step, true, step.flag("clear"));
}

}  // namespace yolo::program
