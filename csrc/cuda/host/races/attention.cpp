#include "cuda/host/races/cases.h"
#include "program/cuda/attention.h"

namespace yolo::cuda::races {
namespace {

using namespace yolo::program::cuda;

// Two tiles of tokens and heads that end inside of a pack and of a slice; then one that takes two blocks.
struct Given {
    Attended from;

    Given(Memory& memory, Number number, int64_t height, int64_t heads, int64_t width) {
        const Map query = memory.map(number, 1, height, 10, heads * width, 8);
        from = {query, memory.like(query), memory.like(query), heads};
    }
};

const Register forward("attend", [](Memory& memory) {
    const Given wide(memory, Number::float32, 7, 1, 37), two(memory, Number::bfloat16, 2, 2, 72);
    for (const Given* given : {&wide, &two}) attend(given->from, memory.like(given->from.query), nullptr);
});

const Register backward("attend_back", [](Memory& memory) {
    const Given wide(memory, Number::float32, 7, 1, 37), two(memory, Number::bfloat16, 2, 2, 72);
    for (const Given* given : {&wide, &two}) {
        const Map &like = given->from.query, gradient = memory.like(like);
        const AttendedGradients to{memory.like(like), memory.like(like), memory.like(like)};
        std::byte* const scratch = memory.scratch(attend_back_scratch_bytes(given->from));
        attend_back(given->from, gradient, to, scratch, nullptr);
    }
});

}  // namespace
}  // namespace yolo::cuda::races
