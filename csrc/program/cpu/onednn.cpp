#include "program/cpu/onednn.h"

#include <stdexcept>

namespace yolo::program {

const dnnl::engine& engine() {
    static const auto* cpu = new dnnl::engine(dnnl::engine::kind::cpu, 0);
    return *cpu;
}

dnnl::stream& stream() {
    static thread_local dnnl::stream own(engine());
    return own;
}

// The instruction sets are flags; each includes the bits of those below it.
bool has(dnnl::cpu_isa set) {
    const auto wanted = static_cast<unsigned>(set);
    return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & wanted) == wanted;
}

int64_t channel_block() {
    return has(dnnl::cpu_isa::avx512_core) ? 16 : 8;
}

dnnl::memory::format_tag blocked_tag() {
    return channel_block() == 16 ? dnnl::memory::format_tag::nChw16c : dnnl::memory::format_tag::nChw8c;
}

bool is_reference(const std::string& implementation) {
    return implementation.find("ref") != std::string::npos;
}

void refuse_reference(const std::string& implementation, const std::string& what) {
    if (is_reference(implementation)) {
        throw std::runtime_error(what + ": oneDNN offers only its reference kernel (" + implementation + ")");
    }
}

int weight_limit() {
    return has(dnnl::cpu_isa::avx512_core_vnni) || has(dnnl::cpu_isa::avx2_vnni) ? 127 : 64;
}

bool has_bfloat16() {
    return has(dnnl::cpu_isa::avx512_core_bf16);
}

bool has_amx() {
#ifdef YOLO_AMX
    return has(dnnl::cpu_isa::avx512_core_amx);
#else
    return false;
#endif
}

std::string instruction_set() {
    switch (dnnl::get_effective_cpu_isa()) {
        case dnnl::cpu_isa::sse41: return "sse41";
        case dnnl::cpu_isa::avx: return "avx";
        case dnnl::cpu_isa::avx2: return "avx2";
        case dnnl::cpu_isa::avx2_vnni: return "avx2_vnni";
        case dnnl::cpu_isa::avx512_core: return "avx512_core";
        case dnnl::cpu_isa::avx512_core_vnni: return "avx512_core_vnni";
        case dnnl::cpu_isa::avx512_core_bf16: return "avx512_core_bf16";
        case dnnl::cpu_isa::avx512_core_fp16: return "avx512_core_fp16";
        case dnnl::cpu_isa::avx512_core_amx: return "avx512_core_amx";
        case dnnl::cpu_isa::avx512_core_amx_fp16: return "avx512_core_amx_fp16";
        default: return "the generic one";
    }
}

}  // namespace yolo::program
