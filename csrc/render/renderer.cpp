#include "render/renderer.h"

#include <stdexcept>
#include <utility>

#include "parallel/team.h"
#include "render/canvas.h"
#include "render/kernels/kernels.h"
#include "render/resize.h"
#include "render/warp.h"

namespace yolo::render {

// What making a sample needs room for; kept from one to the next.
struct Scratch {
    Canvas canvases[2];
    std::vector<int32_t> xs, ys;
    std::vector<uint8_t> lines, blended, image;
    ResizeRoom room;
};

namespace {

using Planes = std::array<uint8_t*, kChannels>;

// Three lines of `width` bytes in `memory`.
Planes lines_of(std::vector<uint8_t>& memory, int64_t width) {
    memory.resize(static_cast<size_t>(kChannels * width));
    return {memory.data(), memory.data() + width, memory.data() + 2 * width};
}

// A view whose canvas is there: gives its result row by row.
class SeenView {
public:
    SeenView(const View& view, Canvas& canvas, Scratch& scratch) : view_(view), canvas_(canvas), scratch_(scratch) {
        if (view.matrix) warp_.emplace(*view.matrix, view.size);
        canvas.begin(warp_ && view.pasted == nullptr ? warp_->seen(view.canvas) : Rect::of(view.canvas));
        scratch.xs.resize(static_cast<size_t>(view.size.width));
        scratch.ys.resize(static_cast<size_t>(view.size.width));
    }

    // The tiles that could not be read.
    std::vector<int64_t> lay(Fit fit, const JpegLibrary* library) {
        std::vector<int64_t> unread;
        for (size_t k = 0; k < view_.tiles.size(); ++k) {
            if (!canvas_.lay(view_.tiles[k], fit, library)) unread.push_back(static_cast<int64_t>(k));
        }
        if (view_.pasted != nullptr) canvas_.paste(view_.pasted);
        return unread;
    }

    void row(int64_t y, const Planes& lines) const {
        if (!warp_) {
            kernels().split(canvas_.pixels() + y * canvas_.row(), view_.size.width, lines.data());
            return;
        }
        const Rect& seen = canvas_.seen();
        warp_->row(y, seen.x0, seen.y0, scratch_.xs.data(), scratch_.ys.data());
        kernels().sample(canvas_.pixels(), canvas_.row(), seen.width(), seen.height(), scratch_.xs.data(),
                         scratch_.ys.data(), view_.size.width, lines.data());
    }

private:
    const View& view_;
    Canvas& canvas_;
    Scratch& scratch_;
    std::optional<Warp> warp_;
};

void blend(const Planes& lines, const Planes& others, int64_t count, double share) {
    const auto first = static_cast<float>(share), second = static_cast<float>(1 - share);
    for (size_t c = 0; c < kChannels; ++c) {
        for (int64_t k = 0; k < count; ++k) {
            const float sum = static_cast<float>(lines[c][k]) * first + static_cast<float>(others[c][k]) * second;
            lines[c][k] = static_cast<uint8_t>(static_cast<int32_t>(sum + 0.5F));
        }
    }
}

// Where the sample's own pixels go: to its planes, or first to a place of their size.
struct Target {
    uint8_t* planes;
    int64_t plane, row;
};

void draw(const Sample& sample, const std::vector<SeenView>& views, const Target& target, Scratch& scratch) {
    const int64_t width = sample.size.width, height = sample.size.height;
    const Planes room = lines_of(scratch.lines, width), others = lines_of(scratch.blended, width);
    for (int64_t y = 0; y < height; ++y) {
        Planes out;
        for (size_t c = 0; c < kChannels; ++c) {
            const int64_t to = sample.flip_vertical ? height - 1 - y : y;
            out[c] = target.planes + static_cast<int64_t>(c) * target.plane + to * target.row;
        }
        const Planes& lines = sample.flip_horizontal ? room : out;
        views[0].row(y, lines);
        if (views.size() > 1) {
            views[1].row(y, others);
            blend(lines, others, width, sample.share);
        }
        if (sample.gains) kernels().colour(sample.gains->data(), width, lines.data());
        for (size_t c = 0; sample.flip_horizontal && c < kChannels; ++c) kernels().mirror(lines[c], width, out[c]);
    }
}

// The tiles, by view, that could not be read; none where the sample is made.
std::vector<std::pair<int64_t, int64_t>> make(const Sample& sample, const JpegLibrary* library, Scratch& scratch) {
    std::vector<SeenView> views;
    std::vector<std::pair<int64_t, int64_t>> unread;
    for (size_t k = 0; k < sample.views.size(); ++k) {
        views.emplace_back(sample.views[k], scratch.canvases[k], scratch);
        for (const int64_t tile : views.back().lay(sample.fit, library)) unread.emplace_back(k, tile);
    }
    if (!unread.empty()) return unread;
    if (sample.size == sample.out) {
        draw(sample, views, {sample.planes, sample.plane, sample.row}, scratch);
        return unread;
    }
    const int64_t row = sample.size.width, plane = row * sample.size.height;
    scratch.image.resize(static_cast<size_t>(kChannels * plane) + 8);
    draw(sample, views, {scratch.image.data(), plane, row}, scratch);
    const Rect whole = Rect::of(sample.out);
    const Method method = method_of(sample.size, sample.out, Fit::augmented);
    const Rect region = source_of(sample.size, sample.out, whole, method);  // without edges that nothing is made of
    const uint8_t* const source = scratch.image.data() + region.y0 * row + region.x0;
    for (int64_t c = 0; c < kChannels; ++c) {
        resize({source + c * plane, row}, sample.size, sample.out, whole, method, 1, scratch.room,
               sample.planes + c * sample.plane, sample.row);
    }
    return unread;
}

}  // namespace

Renderer::Renderer(const std::string& jpeg) {
    if (!jpeg.empty()) library_.emplace(jpeg);
}

Renderer::~Renderer() = default;

std::unique_ptr<Scratch> Renderer::borrow() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (free_.empty()) return std::make_unique<Scratch>();
    std::unique_ptr<Scratch> scratch = std::move(free_.back());
    free_.pop_back();
    return scratch;
}

void Renderer::give_back(std::unique_ptr<Scratch> scratch) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(scratch));
}

std::vector<Unread> Renderer::render(const std::vector<Sample>& samples, int threads) {
    std::vector<Unread> unread;
    const auto one = [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; ++k) {
            if (closed_) throw std::runtime_error("the renderer is closed");
            std::unique_ptr<Scratch> scratch = borrow();
            const auto found = make(samples[static_cast<size_t>(k)], library_ ? &*library_ : nullptr, *scratch);
            give_back(std::move(scratch));
            const std::lock_guard<std::mutex> lock(mutex_);
            for (const auto& [view, tile] : found) unread.push_back({k, view, tile});
        }
    };
    const auto count = static_cast<int64_t>(samples.size());
    threads > 0 ? parallel::deal(count, 1, one, threads) : one(0, count);
    return unread;
}

}  // namespace yolo::render
