#include "program/cpu/amx_rows.h"

#include <algorithm>
#include <cstring>

namespace yolo::program {
namespace {

// A thread's copy of rows: it stays in the second-level cache (2 MB) beside the weights of two blocks. So do the rows of a
// map that are read in place until all channels are made of them.
constexpr int64_t kMostCopied = 640 * 1024;
constexpr int64_t kMostInPlace = 512 * 1024;
// Behind the last row, for products that reach further than their runs.
constexpr int64_t kSlack = 64;

bool one_by_one(const ConvShape& shape) {
    const auto all = [](const dnnl::memory::dims& sides, int64_t side) { return sides[0] == side && sides[1] == side; };
    return all(shape.kernel, 1) && all(shape.stride, 1) && all(shape.padding, 0);
}

}  // namespace

AmxRows::AmxRows(BuildContext& context, Workspace::Frame& frame, const std::string& where, const ConvShape& shape,
                 const TensorView& source, const TensorView& target, int outside)
    : exec_(context),
      shape_(shape),
      source_(source),
      target_(target),
      outside_(outside),
      order_(amx_order(source_, one_by_one(shape_))),
      products_(order_, source_.channels, shape_.kernel[0], shape_.kernel[1]),
      pixel_(products_.channels * products_.element),
      // What reaches behind its run would reach behind the map.
      in_place_(one_by_one(shape_) && order_ != AmxOrder::planes && products_.pieces * products_.numbers == products_.run &&
                source.height == target.height && source.width == target.width) {
    in_place_ ? read_in_place() : read_copies();
    if (copy_ > 0) {
        context.budget.take(where, static_cast<double>(exec_.threads) * static_cast<double>(copy_));
        scratch_ = frame.floats(exec_.threads * copy_ / 4);
    }
    conv_.width = target_.width;
    conv_.products = products_.count(), conv_.depth = products_.depth();
    conv_.offsets = offsets_.data();
}

void AmxRows::read_in_place() {
    conv_.stride = pixel_, conv_.row = target_.width;
    for (int64_t group = 0; group < products_.groups; ++group) {
        for (int64_t piece = 0; piece < products_.pieces; ++piece) {
            offsets_.push_back(group * source_.pixels() * pixel_ + piece * products_.depth());
        }
    }
    split(kMostInPlace / (target_.width * pixel_ * products_.groups));
}

// Rows of the source lie apart by their place in the stride, so that one row of outputs is always as far from the next.
void AmxRows::read_copies() {
    const int64_t stride_y = shape_.stride[0], stride_x = shape_.stride[1];
    conv_.stride = pixel_ * stride_x;
    conv_.row = target_.width - 1 + (shape_.kernel[1] + stride_x - 1) / stride_x;
    row_bytes_ = conv_.row * conv_.stride;
    phases_ = std::min(stride_y, shape_.kernel[0]);
    more_ = (shape_.kernel[0] - 1) / stride_y;
    split(kMostCopied / (row_bytes_ * phases_ * products_.groups) - more_);
    plane_ = ((target_.height + strips_ - 1) / strips_ + more_) * row_bytes_;
    for (int64_t group = 0; group < products_.groups; ++group) {
        for (int64_t y = 0; y < shape_.kernel[0]; ++y) {
            const int64_t place = (group * phases_ + y % stride_y) * plane_ + y / stride_y * row_bytes_;
            for (int64_t piece = 0; piece < products_.pieces; ++piece) offsets_.push_back(place + piece * products_.depth());
        }
    }
    copy_ = (products_.groups * phases_ * plane_ + kSlack + 63) / 64 * 64;
}

// Into strips of at most so many rows.
void AmxRows::split(int64_t rows) {
    const int64_t most = std::max<int64_t>(1, rows);
    strips_ = (target_.height + most - 1) / most;
}

const std::byte* AmxRows::from(int thread, int64_t image, int64_t first) const {
    return in_place_ ? exec_.at(source_, image) + first * target_.width * pixel_ : scratch(thread);
}

std::byte* AmxRows::scratch(int thread) const {
    return static_cast<std::byte*>(scratch_->get_data_handle()) + thread * copy_;
}

// What the outputs of rows `first` to `last` need.
void AmxRows::copy(int thread, int64_t image, int64_t first, int64_t last) const {
    std::byte* const to = scratch(thread);
    for (int64_t group = 0; group < products_.groups; ++group) {
        for (int64_t phase = 0; phase < phases_; ++phase) {
            std::byte* const plane = to + (group * phases_ + phase) * plane_;
            for (int64_t row = 0; row < last - first + more_; ++row) {
                const int64_t y = (first + row) * shape_.stride[0] + phase - shape_.padding[0];
                copy_row(image, group, y, plane + row * row_bytes_);
            }
        }
    }
    // It meets weights of zero, and must not be infinite.
    std::memset(to + products_.groups * phases_ * plane_, 0, kSlack);
}

void AmxRows::copy_row(int64_t image, int64_t group, int64_t y, std::byte* to) const {
    const int64_t pixels = conv_.row * shape_.stride[1], before = std::min(shape_.padding[1], pixels);
    const auto fill = [&](int64_t first, int64_t count) {
        std::memset(to + first * pixel_, outside_, static_cast<size_t>(count * pixel_));
    };
    if (y < 0 || y >= source_.height) return fill(0, pixels);
    const int64_t inside = std::min(source_.width, pixels - before);
    fill(0, before);
    copy_pixels(image, group, y, inside, to + before * pixel_);
    fill(before + inside, pixels - before - inside);
}

void AmxRows::copy_pixels(int64_t image, int64_t group, int64_t y, int64_t count, std::byte* to) const {
    const int64_t row = y * source_.width;
    if (order_ == AmxOrder::pairs) {
        const auto block = [&](int64_t number) { return exec_.at(source_, image, number) + row * pixel_ / 2; };
        const bool both = 2 * group + 1 < exec_.blocks(source_);
        kernels().amx_pairs(block(2 * group), both ? block(2 * group + 1) : nullptr, count, to);
        return;
    }
    // A group of plain images is a channel, of blocks the only one.
    const std::byte* const plane = exec_.at(source_, image) + group * source_.pixels() * pixel_;
    std::memcpy(to, plane + row * pixel_, static_cast<size_t>(count * pixel_));
}

}  // namespace yolo::program
