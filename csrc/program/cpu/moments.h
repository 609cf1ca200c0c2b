// Sums that a convolution takes of its outputs while it has them, for the batch norm behind it.
#pragma once

#include <cstdint>
#include <vector>

#include "program/common/plan.h"

namespace yolo::program {

// Of each channel of `view`, the sum of its numbers and of their squares, of a thread's part: [thread][2][channels], channels
// in whole blocks. A convolution takes them if the step behind it wants them; they are there until its next run.
struct Moments {
    TensorView view;
    int64_t step, channels;
    bool wanted = false;
    std::vector<double> sums;

    // Whether they are those of a view, or of some of it, whose reader comes right behind.
    bool of(const TensorView& other, int64_t reader) const {
        return reader == step + 1 && other.offset == view.offset && other.buffer_channels == view.buffer_channels &&
               other.height == view.height && other.width == view.width && other.element == view.element &&
               other.first >= view.first && other.first + other.channels <= view.first + view.channels;
    }
    // Where a thread's sums of a channel of the view begin, and behind them those of the squares.
    double* at(int64_t thread, int64_t channel) { return sums.data() + thread * 2 * channels + channel; }
};

}  // namespace yolo::program
