#include "cuda/host/races/cases.h"
#include "ops/cuda/update.h"

namespace yolo::cuda::races {
namespace {

using namespace yolo::ops;
using namespace yolo::ops::cuda;

// Two blocks' numbers, groups that begin anywhere, once with a loss scale and once without.
void update(Memory& memory, Optimizer optimizer) {
    const UpdateSizes sizes{13, 8200, 30, 21};
    constexpr int64_t kParameters = 13 + 8200 + 30, kAll = kParameters + 21;
    for (const bool scaled : {false, true}) {
        float *const values = memory.numbers(kAll), *const gradient = memory.numbers(kParameters);
        float *const first = memory.numbers(kParameters), *const second = memory.numbers(kParameters, 0.0f, 1.0f);
        const UpdateBuffers buffers{values, gradient, first, second, memory.numbers(kAll)};
        const auto* const rates = memory.copy<UpdateRates>({{0.01f, 0.02f, 0.03f, 0.9f, 0.99f, 0.1f, 0.001f}});
        LossScale* const scale = scaled ? memory.copy<LossScale>({LossScale{}}) : nullptr;
        std::byte* const scratch = memory.scratch(update_scratch_bytes(sizes));
        update_parameters(optimizer, buffers, sizes, rates, 5e-4f, scale, memory.take<float>(1), scratch, nullptr);
    }
}

const Register sgd("update_parameters SGD", [](Memory& memory) { update(memory, Optimizer::kSgd); });
const Register adam("update_parameters Adam", [](Memory& memory) { update(memory, Optimizer::kAdam); });
const Register adamw("update_parameters AdamW", [](Memory& memory) { update(memory, Optimizer::kAdamW); });

}  // namespace
}  // namespace yolo::cuda::races
