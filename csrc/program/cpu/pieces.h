// Maps piece by piece, for what is done to numbers one by one.
#pragma once

#include <algorithm>

#include "parallel/team.h"
#include "program/cpu/build_context.h"

namespace yolo::program {

struct Piece {
    int thread;
    int64_t image, block, pixel, count;
};

// Every piece of at most kMostPixels pixels of one channel block, in the order in which they lie in memory.
template <class Action>
void each_piece(const ExecContext& exec, const TensorView& view, const Action& action) {
    const int64_t pixels = view.pixels(), pieces = (pixels + kMostPixels - 1) / kMostPixels, blocks = exec.blocks(view);
    parallel::share(exec.threads, exec.batch * blocks * pieces, [&](int thread, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const int64_t pixel = i % pieces * kMostPixels, plane = i / pieces;
            action(Piece{thread, plane / blocks, plane % blocks, pixel, std::min(kMostPixels, pixels - pixel)});
        }
    });
}

inline std::byte* at(const ExecContext& exec, const TensorView& view, const Piece& piece) {
    return exec.at(view, piece.image, piece.block) + piece.pixel * exec.block * view.element;
}

}  // namespace yolo::program
