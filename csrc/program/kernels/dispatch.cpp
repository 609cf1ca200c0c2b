#include <stdexcept>

#include "program/cpu/onednn.h"
#include "program/kernels/kernels.h"

namespace yolo::program {
namespace {

// oneDNN's instruction set decides: its layouts have the width of the vectors, and it may be told (by the variable
// ONEDNN_MAX_CPU_ISA) to use less than the processor has.
const Kernels& choose() {
#ifdef YOLO_X86
#ifdef YOLO_AMX
    if (has(dnnl::cpu_isa::avx512_core_amx)) return amx::kernels;
#endif
    if (has(dnnl::cpu_isa::avx512_core_bf16)) return avx512_bf16::kernels;
    if (has(dnnl::cpu_isa::avx512_core)) return avx512::kernels;
    if (has(dnnl::cpu_isa::avx2) && __builtin_cpu_supports("fma")) return avx2::kernels;
#endif
    if (channel_block() != generic::kernels.lanes) {
        throw std::runtime_error("oneDNN's channel blocks have a width for which there are no loops here");
    }
    return generic::kernels;
}

}  // namespace

const Kernels& kernels() {
    static const Kernels& chosen = choose();
    return chosen;
}

}  // namespace yolo::program
