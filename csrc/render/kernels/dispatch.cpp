#include "render/kernels/kernels.h"

namespace yolo::render {

const Kernels& kernels() {
#ifdef YOLO_X86
    static const bool wide = __builtin_cpu_supports("avx2");
    if (wide) return avx2::kernels;
#endif
    return generic::kernels;
}

}  // namespace yolo::render
