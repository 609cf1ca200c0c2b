#include <stdexcept>

#include "program/onednn.h"
#include "program/training/loops/loops.h"

namespace yolo::program::training {
namespace {

// oneDNN's choice of layout decides on the width: it may be told to use less than the processor has.
const Loops& choose() {
#ifdef YOLO_X86
    if (channel_block() == avx512::loops.lanes) return avx512::loops;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::loops;
#endif
    if (channel_block() != generic::loops.lanes) {
        throw std::runtime_error("oneDNN's channel blocks have a width for which there are no loops here");
    }
    return generic::loops;
}

}  // namespace

const Loops& loops() {
    static const Loops& chosen = choose();
    return chosen;
}

}  // namespace yolo::program::training
