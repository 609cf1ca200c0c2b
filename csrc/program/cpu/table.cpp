#include "program/cpu/table.h"

#include <map>

namespace yolo::program {

Builder* builder_of(const std::string& kind) {
    static const auto* table = new std::map<std::string, Builder*>{
        {"conv", build_conv},
        {"int8_conv", build_int8_conv},
        {"quantise", build_quantise},
        {"dequantise", build_dequantise},
        {"copy_bytes", build_copy_bytes},
        {"resample_bytes", build_resample_bytes},
    };
    const auto found = table->find(kind);
    return found == table->end() ? nullptr : found->second;
}

}  // namespace yolo::program
