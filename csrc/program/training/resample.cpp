#include "program/training/planes.h"
#include "parallel/team.h"

namespace yolo::program::training {
namespace {

Format format_of(const Slice& slice) {
    return slice.wide() ? kFloat32 : kBfloat16;
}

Window filled(Window window, const Slice& source, const Slice& target) {
    window.height = source.height, window.width = source.width;
    window.out_height = target.height, window.out_width = target.width;
    return window;
}

const char* name_of(Resampling kind) {
    switch (kind) {
        case Resampling::max_pool: return "max_pool";
        case Resampling::average_pool: return "average_pool";
        case Resampling::bilinear: return "bilinear";
        default: return "upsample";
    }
}

// Calls action(thread, picture, block) for each plane.
template <class Action>
void each_plane(const Place& place, const Slice& slice, const Action& action) {
    const int64_t lanes = loops().lanes, blocks = (slice.channels + lanes - 1) / lanes;
    parallel::share(place.threads, place.batch * blocks, [&](int thread, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) action(thread, i / blocks, i % blocks);
    });
}

void* index_at(const Place& place, const Slice& target, int64_t index, Index kind, int64_t n, int64_t b) {
    const int64_t lanes = loops().lanes, blocks = (target.channels + lanes - 1) / lanes;
    return place.arena + index + (n * blocks + b) * target.pixels() * lanes * (kind == kBytes ? 1 : 2);
}

// The plane's gradient as floats: where it lies, or summed up in the thread's first plane.
const float* gradient_plane(const Place& place, const std::vector<Slice>& gradients, int thread, int64_t n, int64_t b) {
    const int64_t lanes = loops().lanes;
    auto at = [&](const Slice& slice) { return place.arena + slice.plane(n, b, lanes); };
    if (gradients.size() == 1 && gradients[0].wide()) return reinterpret_cast<const float*>(at(gradients[0]));
    const void* from[kMostSources];
    for (size_t k = 0; k < gradients.size(); ++k) from[k] = at(gradients[k]);
    float* sum = (*place.planes)[static_cast<size_t>(thread)];
    loops().add[format_of(gradients[0])](from, static_cast<int64_t>(gradients.size()), sum, gradients[0].pixels());
    return sum;
}

}  // namespace

Step resample(const Place& place, const std::string& where, Resampling kind, const Slice& source, const Slice& target,
              Window window, int64_t index) {
    window = filled(window, source, target);
    StepInfo info{where, name_of(kind), loops().name};
    info.bytes = place.batch * source.channels * (source.pixels() + target.pixels()) * source.element;
    return {info, [=](const Run&) {
                const Format format = format_of(source);
                const Index places = index_of(window.kernel);
                each_plane(place, source, [&](int, int64_t n, int64_t b) {
                    const void* from = place.arena + source.plane(n, b, loops().lanes);
                    void* to = place.arena + target.plane(n, b, loops().lanes);
                    if (kind == Resampling::max_pool) {
                        void* kept = index_at(place, target, index, places, n, b);
                        loops().max_pool[format][places](from, window, to, kept);
                    } else if (kind == Resampling::average_pool) {
                        loops().average_pool[format](from, window, to);
                    } else if (kind == Resampling::bilinear) {
                        loops().bilinear[format](from, window, to);
                    } else {
                        loops().upsample[format](from, window, to);
                    }
                });
            }};
}

Step resample_back(const Place& place, const std::string& where, Resampling kind, std::vector<Slice> gradients,
                   const Slice& source_gradient, Window window, int64_t index) {
    const Slice target = gradients[0];
    window = filled(window, source_gradient, target);
    StepInfo info{where, std::string(name_of(kind)) + "_back", loops().name};
    info.bytes = place.batch * target.channels * target.element *
                 (source_gradient.pixels() + target.pixels() * static_cast<int64_t>(gradients.size()));
    return {info, [=](const Run&) {
                const Index places = index_of(window.kernel);
                each_plane(place, target, [&](int thread, int64_t n, int64_t b) {
                    const float* from = gradient_plane(place, gradients, thread, n, b);
                    std::byte* to = place.arena + source_gradient.plane(n, b, loops().lanes);
                    const size_t second = static_cast<size_t>(place.threads + thread);
                    float* out = source_gradient.wide() ? reinterpret_cast<float*>(to) : (*place.planes)[second];
                    if (kind == Resampling::max_pool) {
                        const void* kept = index_at(place, target, index, places, n, b);
                        loops().max_pool_back[places](from, kept, window, out);
                    } else if (kind == Resampling::average_pool) {
                        loops().average_pool_back(from, window, out);
                    } else if (kind == Resampling::bilinear) {
                        loops().bilinear_back(from, window, out);
                    } else {
                        loops().upsample_back(from, window, out);
                    }
                    if (!source_gradient.wide()) loops().store[kBfloat16](out, to, source_gradient.pixels());
                });
            }};
}

}  // namespace yolo::program::training
