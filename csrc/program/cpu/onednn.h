// oneDNN as the executors use it: one engine a process, blocked layouts, no slow kernels.
#pragma once

#include <cstdint>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>

namespace yolo::program {

// The CPU engine. Created once and never destroyed: programs may outlive static objects.
const dnnl::engine& engine();

// The calling thread's stream.
dnnl::stream& stream();

// Channels that lie together in a blocked layout: 16 where the CPU has AVX-512, else 8.
int64_t channel_block();

// nChw16c or nChw8c.
dnnl::memory::format_tag blocked_tag();

// So many floats.
inline dnnl::memory::desc floats_desc(int64_t count) {
    return {{count}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::x};
}

// Whether a kernel is one of oneDNN's reference implementations.
bool is_reference(const std::string& implementation);

// The largest weight, in steps, of an int8 convolution. 127; but 64 without VNNI: those kernels add pairs of products
// of unsigned and signed bytes in 16 bits, and 2 * 255 * 64 is the most that fits.
int weight_limit();

// Raises std::runtime_error when oneDNN chose a reference kernel for a primitive: a thousand times slower than its
// others, and never what was meant. `what` names the operation.
void refuse_reference(const std::string& implementation, const std::string& what);

// Whether oneDNN uses this instruction set here.
bool has(dnnl::cpu_isa set);

// Whether oneDNN has bfloat16 kernels here: AVX-512 BF16, and every set above it.
bool has_bfloat16();

// Whether products of bfloat16 go through AMX's tiles here: the processor has them, and the compiler knew them.
bool has_amx();

// The widest instruction set that oneDNN uses here, human-readable: "avx512_core_bf16", "avx2", …
std::string instruction_set();

}  // namespace yolo::program
