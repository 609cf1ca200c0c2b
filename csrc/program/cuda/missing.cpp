// For the time of writing only: what is not there yet.
#include <stdexcept>

#include "ops/cuda/bindings.h"
#include "program/cuda/builders.h"

namespace yolo::program::cuda {
#define MISSING(name) \
    __attribute__((weak)) std::vector<CompiledStep> name(BuildContext&, const Step&) { throw std::invalid_argument(#name); }
MISSING(build_load_images) MISSING(build_store_head) MISSING(build_resample) MISSING(build_gather) MISSING(build_scatter)
MISSING(build_attention) MISSING(build_norm_act_add) MISSING(build_conv) MISSING(build_conv_forward)
MISSING(build_conv_backward) MISSING(build_load_head_gradient) MISSING(build_resample_backward)
MISSING(build_attention_backward) MISSING(build_norm_act_add_backward) MISSING(build_norm_act_add_recompute)
MISSING(build_accumulate)
}  // namespace yolo::program::cuda
namespace yolo::ops::cuda {
__attribute__((weak)) void bind_detection(pybind11::module_&) {}
__attribute__((weak)) void bind_loss(pybind11::module_&) {}
__attribute__((weak)) void bind_update(pybind11::module_&) {}
}  // namespace yolo::ops::cuda
