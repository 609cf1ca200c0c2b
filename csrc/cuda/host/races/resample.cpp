#include "cuda/host/races/cases.h"
#include "program/cuda/resample.h"

namespace yolo::cuda::races {
namespace {

using namespace yolo::program::cuda;

// A map of 7 x 9, resampled in the four ways, and the gradient of that.
void resampled(Memory& memory, Resampling method, const Window& window, int64_t place_bytes) {
    const auto side = [&](int64_t from) {
        const bool larger = method == Resampling::upsample || method == Resampling::bilinear;
        return larger ? from * window.stride : (from + 2 * window.padding - window.kernel) / window.stride + 1;
    };
    for (const Number number : kNumbers) {
        const Map source = memory.map(number, 2, 7, 9, 19, 8), target = memory.map(number, 2, side(7), side(9), 19, 8);
        Places places;
        if (place_bytes > 0) {
            const int64_t lanes = target.lanes();
            places = {memory.take<std::byte>(target.pixels() * lanes * place_bytes), lanes, place_bytes};
        }
        resample(method, source, target, window, places, nullptr);
        const std::vector<Map> gradients{memory.like(target), memory.like(target)};
        std::byte* const scratch = memory.scratch(resample_backward_scratch_bytes(method, gradients, window));
        resample_backward(method, gradients, memory.like(source), window, places, reinterpret_cast<float*>(scratch),
                          nullptr);
    }
}

const Register pools("max_pool", [](Memory& memory) {
    resampled(memory, Resampling::max_pool, {5, 1, 2}, 1);
    resampled(memory, Resampling::max_pool, {17, 2, 8}, 2);
});
const Register averages("average_pool", [](Memory& memory) {
    resampled(memory, Resampling::average_pool, {3, 2, 1}, 0);
});
const Register copies("upsample", [](Memory& memory) { resampled(memory, Resampling::upsample, {0, 2, 0}, 0); });
const Register blends("bilinear", [](Memory& memory) { resampled(memory, Resampling::bilinear, {0, 2, 0}, 0); });

}  // namespace
}  // namespace yolo::cuda::races
