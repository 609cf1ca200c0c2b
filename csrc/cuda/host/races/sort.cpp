#include "cuda/host/races/cases.h"
#include "ops/cuda/sort.h"

namespace yolo::cuda::races {
namespace {

using namespace yolo::ops::cuda;

// Images with no key, with some, and with a tile and more, some of which are left away.
const Register sorting("sort", [](Memory& memory) {
    const int64_t capacity = kTile + 77;
    const std::vector<uint32_t> found{0, 77, static_cast<uint32_t>(kTile) + 5};
    const auto images = static_cast<int64_t>(found.size());
    const Keys keys{{memory.take<uint64_t>(images * capacity), memory.take<uint64_t>(images * capacity)},
                    memory.copy(found), capacity, 1999};
    for (int64_t i = 0; i < images * capacity; ++i) {
        keys.buffers[0][i] = make_key(memory.number(0.1f, 1.0f), static_cast<uint32_t>(i % capacity));
    }
    sort(keys, images, nullptr);
});

}  // namespace
}  // namespace yolo::cuda::races
