// 3x3 convolutions that train by Winograd's algorithm, and their gradients: a quarter of the products, with stride 2 a half
// to two thirds.
#include "program/cpu/training_winograd.h"

#include <algorithm>
#include <utility>

#include "parallel/team.h"
#include "program/cpu/winograd_weights.h"

namespace yolo::program {
namespace {

// Between the 36 matrices, which would begin in the same cache sets if their sizes were powers of two.
constexpr int64_t kPad = 16;
// A thread's tiles at once: points and sums of that many stay in its caches; with many channels weights are read from
// further away, so seldomer.
constexpr int64_t kTilesAtOnce = 24, kManyTiles = 48, kManyWeights = 64 * 64;

// The same of the weights' gradients, where sums over so many tiles are added to those before.
constexpr int64_t kTilesApart = 48, kTilesTogether = 192;
// Numbers: threads that have not more have sums of their own.
constexpr int64_t kOwnSums = 36 * 64 * 64 + 36 * 16;

// Of the maps of a whole batch, whose tiles count on from image to image. `data`: of the gradient of the source.
Winograd geometry(const Convolution& c, WinogradForm form, bool data, int64_t room) {
    const int64_t tile = sides(form).tile;
    Winograd w{};
    w.form = form;
    w.height = c.source.height, w.width = c.source.width;
    w.rows = (c.target.height + tile - 1) / tile, w.columns = (c.target.width + tile - 1) / tile;
    w.source_channels = c.source.channels, w.target_channels = c.target.channels;
    if (data) std::swap(w.source_channels, w.target_channels);
    w.room = room;
    w.source_step = room * w.source_channels + kPad;
    w.target_step = room * w.target_channels + kPad;
    return w;
}

// Calls action(image, part, done) for the tiles of each image among these: `done` tiles come before.
template <class Action>
void each_image(const Winograd& w, int64_t first, int64_t count, int64_t blocks, const Action& action) {
    const int64_t tiles = w.rows * w.columns;
    for (int64_t done = 0; done < count;) {
        const int64_t tile = (first + done) % tiles, run = std::min(count - done, tiles - tile);
        action((first + done) / tiles, WinogradPart{tile, run, 0, blocks}, done);
        done += run;
    }
}

int64_t tiles_at_once(const Convolution& c, WinogradForm form) {
    const int64_t most = c.source.channels * c.target.channels < kManyWeights ? kTilesAtOnce : kManyTiles;
    return most * 36 / points_of(form);
}

float* floats(const dnnl::memory& memory) {
    return static_cast<float*>(memory.get_data_handle());
}

class FromWeights {
public:
    FromWeights(BuildContext& context, const Spec& c, WinogradForm form, bool data, const TensorView& from,
                const TensorView& to)
        : exec_(context),
          from_(from),
          to_(to),
          data_(data),
          spreads_(data && form != WinogradForm::f4),
          count_(points_of(form)),
          starts_(c->starts()),
          w_(geometry(*c, form, data, tiles_at_once(*c, form))) {
        Workspace::Frame frame(context.workspace);
        weights_ = frame.floats(count_ * w_.source_channels * w_.target_channels);
        points_ = frame.floats(exec_.threads * count_ * w_.source_step);
        sums_ = frame.floats(exec_.threads * count_ * w_.target_step);
    }

    void operator()(const Run& run) const {
        const int64_t pairs = (exec_.blocks(to_) + 1) / 2;
        parallel::share(exec_.threads, pairs, [&](int, int64_t begin, int64_t end) {
            kernels().winograd_weights(run.values, starts_.data(), w_, data_, begin, end, floats(weights_));
        });
        parallel::share(exec_.threads, exec_.batch * w_.rows * w_.columns, [&](int thread, int64_t first, int64_t last) {
            const int64_t parts = (last - first + w_.room - 1) / w_.room;
            for (int64_t part = 0; part < parts; ++part) {
                const int64_t tile = first + (last - first) * part / parts;
                const int64_t end = first + (last - first) * (part + 1) / parts;
                tiles(thread, tile, end - tile, pairs);
            }
        });
    }

private:
    void tiles(int thread, int64_t first, int64_t count, int64_t pairs) const {
        float* const points = floats(points_) + thread * count_ * w_.source_step;
        float* const sums = floats(sums_) + thread * count_ * w_.target_step;
        const int64_t lanes = exec_.block;
        each_image(w_, first, count, exec_.blocks(from_), [&](int64_t image, const WinogradPart& part, int64_t done) {
            const auto* const source = reinterpret_cast<const float*>(exec_.at(from_, image));
            const auto call = spreads_ ? kernels().winograd_spread_points : kernels().winograd_points;
            call(source, w_, part, points + done * lanes);
        });
        kernels().winograd_products(points, floats(weights_), w_, {0, count, 0, count_ * pairs}, sums);
        each_image(w_, first, count, exec_.blocks(to_), [&](int64_t image, const WinogradPart& part, int64_t done) {
            auto* const target = reinterpret_cast<float*>(exec_.at(to_, image));
            if (spreads_) return kernels().winograd_spread_finish(sums + done * lanes, w_, part, target);
            kernels().winograd_finish(sums + done * lanes, nullptr, w_, part, {Function::identity, 0.0f}, nullptr, target);
        });
    }

    ExecContext exec_;
    TensorView from_, to_;
    bool data_, spreads_;
    int64_t count_;  // of points
    std::vector<int64_t> starts_;
    Winograd w_;
    dnnl::memory weights_, points_, sums_;
};

// The gradient of the weights. Threads have tiles and sums of their own, which are added up at the end; where the sums
// are large, they share those, and the tiles, phase by phase.
class ToWeights {
public:
    ToWeights(BuildContext& context, const Spec& c, WinogradForm form, const TensorView& gradient, const TensorView& values)
        : exec_(context),
          values_(values),
          gradient_(gradient),
          count_(points_of(form)),
          starts_(c->starts()),
          w_(geometry(*c, form, false, kTilesTogether * 36 / count_)) {
        together_ = exec_.threads == 1 || count_ * sums_step(w_) > kOwnSums;
        if (!together_) w_ = geometry(*c, form, false, kTilesApart * 36 / count_);
        const int64_t scratches = together_ ? 1 : exec_.threads;
        Workspace::Frame frame(context.workspace);
        points_ = frame.floats(scratches * count_ * w_.source_step);
        gradients_ = frame.floats(scratches * count_ * w_.target_step);
        sums_ = frame.floats(scratches * count_ * sums_step(w_));
    }

    void operator()(const Run& run) const {
        together_ ? sum_together() : sum_apart();
        parallel::share(exec_.threads, w_.source_channels, [&](int, int64_t begin, int64_t end) {
            kernels().winograd_gradient_finish(floats(sums_), starts_.data(), w_, begin, end, run.gradient);
        });
    }

private:
    int64_t tiles() const { return exec_.batch * w_.rows * w_.columns; }
    int64_t items() const { return count_ * exec_.blocks(values_); }

    // Of `count` tiles, whose place in the scratch is `place`.
    void make_points(int64_t slot, int64_t first, int64_t count, int64_t place) const {
        float* const points = floats(points_) + slot * count_ * w_.source_step + place * exec_.block;
        float* const gradients = floats(gradients_) + slot * count_ * w_.target_step + place * exec_.block;
        const int64_t lanes = exec_.block;
        each_image(w_, first, count, exec_.blocks(values_), [&](int64_t image, const WinogradPart& part, int64_t done) {
            const auto* const from = reinterpret_cast<const float*>(exec_.at(values_, image));
            kernels().winograd_points(from, w_, part, points + done * lanes);
        });
        each_image(w_, first, count, exec_.blocks(gradient_), [&](int64_t image, const WinogradPart& part, int64_t done) {
            const auto* const from = reinterpret_cast<const float*>(exec_.at(gradient_, image));
            kernels().winograd_gradient_points(from, w_, part, gradients + done * lanes);
        });
    }

    void multiply(int64_t slot, int64_t count, int64_t begin, int64_t end, bool first) const {
        kernels().winograd_gradient_products(floats(points_) + slot * count_ * w_.source_step,
                                             floats(gradients_) + slot * count_ * w_.target_step, w_,
                                             {0, count, begin, end}, first, sums(slot));
    }

    float* sums(int64_t slot) const { return floats(sums_) + slot * count_ * sums_step(w_); }

    void sum_together() const {
        for (int64_t first = 0; first < tiles(); first += w_.room) {
            const int64_t count = std::min(w_.room, tiles() - first);
            parallel::share(exec_.threads, count, [&](int, int64_t begin, int64_t end) {
                make_points(0, first + begin, end - begin, begin);
            });
            parallel::share(exec_.threads, items(), [&](int, int64_t begin, int64_t end) {
                multiply(0, count, begin, end, first == 0);
            });
        }
    }

    void sum_apart() const {
        parallel::share(exec_.threads, tiles(), [&](int thread, int64_t begin, int64_t end) {
            if (begin == end) std::fill_n(sums(thread), count_ * sums_step(w_), 0.0f);
            for (int64_t first = begin; first < end; first += w_.room) {
                const int64_t count = std::min(w_.room, end - first);
                make_points(thread, first, count, 0);
                multiply(thread, count, 0, items(), first == begin);
            }
        });
        parallel::share(exec_.threads, count_ * sums_step(w_), [&](int, int64_t begin, int64_t end) {
            for (int thread = 1; thread < exec_.threads; ++thread) {
                const float* const from = sums(thread);
                float* const to = sums(0);
                for (int64_t i = begin; i < end; ++i) to[i] += from[i];
            }
        });
    }

    ExecContext exec_;
    TensorView values_, gradient_;
    int64_t count_;  // of points
    std::vector<int64_t> starts_;
    Winograd w_;
    bool together_;
    dnnl::memory points_, gradients_, sums_;
};

StepInfo info_of(const Spec& c, const std::string& kind, WinogradForm form) {
    StepInfo info = c->info(kind, std::string("winograd:") + kernels().name);
    info.executed = static_cast<double>(c->exec.batch) * executed_by(geometry(*c, form, false, 0));
    return info;
}

}  // namespace

CompiledStep winograd_from_weights(BuildContext& context, const Spec& c, WinogradForm form, bool data,
                                   const TensorView& from, const TensorView& to, const std::string& kind) {
    const auto pass = std::make_shared<const FromWeights>(context, c, form, data, from, to);
    return {info_of(c, kind, form), [pass](const Run& run) { (*pass)(run); }};
}

CompiledStep winograd_to_weights(BuildContext& context, const Spec& c, WinogradForm form, const TensorView& gradient,
                                 const TensorView& values) {
    const auto pass = std::make_shared<const ToWeights>(context, c, form, gradient, values);
    return {info_of(c, "conv_weights", form), [pass](const Run& run) { (*pass)(run); }};
}

}  // namespace yolo::program
