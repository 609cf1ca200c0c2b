// A map as AMX's tiles read it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "program/cpu/amx_weights.h"
#include "program/cpu/build_context.h"
#include "program/cpu/convolution.h"

namespace yolo::program {

// Strips of rows of a convolution's outputs, and what its products read for them: rows of the source that are copied with
// their padding into a thread's own cache, in the order in which tiles take them. Where each pixel meets one weight, tiles
// read the map itself.
class AmxRows {
public:
    // Of a convolution between two maps. `outside`: the byte that the padding is made of.
    AmxRows(BuildContext& context, Workspace::Frame& frame, const std::string& where, const ConvShape& shape,
            const TensorView& source, const TensorView& target, int outside);
    AmxRows(const AmxRows&) = delete;

    const AmxConv& conv() const { return conv_; }
    const AmxProducts& products() const { return products_; }
    AmxOrder order() const { return order_; }

    // Calls action(thread, source, image, pair, first row, last row) for each pair of channel blocks of each strip of outputs,
    // by all threads; `source`: where the first output's products begin.
    template <class Action>
    void each(const Action& action) const {
        const int64_t pairs = (exec_.blocks(target_) + 1) / 2;
        parallel::share(exec_.threads, exec_.batch * strips_ * pairs, [&](int thread, int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                make(thread, i / pairs / strips_, i / pairs % strips_, i % pairs, i == begin || i % pairs == 0, action);
            }
        });
    }

    // The same of one image's strips, by this thread.
    template <class Action>
    void of_image(int thread, int64_t image, const Action& action) const {
        for (int64_t strip = 0; strip < strips_; ++strip) {
            for (int64_t pair = 0; pair < (exec_.blocks(target_) + 1) / 2; ++pair) {
                make(thread, image, strip, pair, pair == 0, action);
            }
        }
    }

    // Outputs from the first to the last of some rows, with those between the rows.
    int64_t places(int64_t rows) const { return (rows - 1) * conv_.row + conv_.width; }

private:
    // A pair of a strip; `fresh`: this thread has no copy of its rows yet.
    template <class Action>
    void make(int thread, int64_t image, int64_t strip, int64_t pair, bool fresh, const Action& action) const {
        const int64_t first = target_.height * strip / strips_, last = target_.height * (strip + 1) / strips_;
        if (fresh && !in_place_) copy(thread, image, first, last);
        action(thread, from(thread, image, first), image, pair, first, last);
    }

    void read_in_place();
    void read_copies();
    void split(int64_t rows);
    const std::byte* from(int thread, int64_t image, int64_t first) const;
    std::byte* scratch(int thread) const;
    void copy(int thread, int64_t image, int64_t first, int64_t last) const;
    void copy_row(int64_t image, int64_t group, int64_t y, std::byte* to) const;
    void copy_pixels(int64_t image, int64_t group, int64_t y, int64_t count, std::byte* to) const;

    ExecContext exec_;
    ConvShape shape_;
    TensorView source_, target_;
    int outside_;
    AmxOrder order_;
    AmxProducts products_;
    int64_t pixel_;  // bytes of a group's pixel
    bool in_place_;
    AmxConv conv_{};
    std::vector<int64_t> offsets_;
    int64_t strips_ = 1;
    // Of a copy: bytes of a row, rows apart, rows more than of outputs, bytes of a plane and of all.
    int64_t row_bytes_ = 0, phases_ = 1, more_ = 0, plane_ = 0, copy_ = 0;
    std::optional<dnnl::memory> scratch_;
};

}  // namespace yolo::program
