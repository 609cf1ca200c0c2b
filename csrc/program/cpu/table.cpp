#include "program/cpu/table.h"

#include <map>

namespace yolo::program {

Builder* builder_of(const std::string& kind) {
    static const auto* table = new std::map<std::string, Builder*>{
        {"load_images", build_load_images},
        {"store_head", build_store_head},
        {"resample", build_resample},
        {"gather", build_gather},
        {"scatter", build_scatter},
        {"attention", build_attention},
        {"norm_act_add", build_norm_act_add},
        {"conv_forward", build_conv_forward},
        {"conv_backward", build_conv_backward},
        {"load_head_gradient", build_load_head_gradient},
        {"resample_backward", build_resample_backward},
        {"attention_backward", build_attention_backward},
        {"norm_act_add_backward", build_norm_act_add_backward},
        {"norm_act_add_recompute", build_norm_act_add_recompute},
        {"accumulate", build_accumulate},
        {"conv", build_conv},
        {"int8_conv", build_int8_conv},
        {"quantise", build_quantise},
        {"dequantise", build_dequantise},
        {"copy_bytes", build_copy_bytes},
    };
    const auto found = table->find(kind);
    return found == table->end() ? nullptr : found->second;
}

}  // namespace yolo::program
