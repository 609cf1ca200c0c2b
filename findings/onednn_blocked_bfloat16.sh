#!/bin/sh
# oneDNN 2023.2 (v3.2) on a processor with AMX: a bfloat16 convolution between maps in blocks of 16 channels (nChw16c) gets
# the kernel for AVX-512, between maps with all channels of a pixel together (nhwc) the one for AMX. Both say success and are
# no reference kernels, so who keeps blocked maps, which are the fastest in float32, does not hear of it. Here 64 -> 64
# channels, 3x3, 80x80, one thread, seen on an Intel Xeon (Emerald Rapids) beside other work:
#
#   nChw16c: jit_bf16:avx512_core_bf16, 5.88 ms
#   nhwc: brgconv:avx512_core_amx, 0.49 ms
#
# Fails when the kernels are others, or the times within a factor of 2.
# Needs a processor with AMX and a C++ compiler; elsewhere it says so and ends with 0.
set -eu
grep -qw amx_bf16 /proc/cpuinfo || { echo 'not seen here: this processor has no AMX'; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check onednn-cpu-gomp==2023.2.0 \
    onednn-devel-cpu-gomp==2023.2.0
cat >"$folder/kernels.cpp" <<'CPP'
#include <chrono>
#include <cstdio>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
using namespace dnnl;
using Tag = memory::format_tag;
using Type = memory::data_type;

static double best_ms(const convolution_forward::primitive_desc& chosen, const engine& cpu) {
    stream line(cpu);
    memory source(chosen.src_desc(), cpu), weights(chosen.weights_desc(), cpu), target(chosen.dst_desc(), cpu);
    const convolution_forward convolution(chosen);
    double best = 1e9;
    for (int i = 0; i < 20; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        convolution.execute(line, {{DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, target}});
        line.wait();
        const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - begin;
        if (passed.count() < best) best = passed.count();
    }
    return best;
}

int main() {
    const engine cpu(engine::kind::cpu, 0);
    std::string names[2];
    double times[2];
    for (int i = 0; i < 2; ++i) {
        const Tag tag = i == 0 ? Tag::nChw16c : Tag::nhwc;
        const memory::desc map({1, 64, 80, 80}, Type::bf16, tag), weights({64, 64, 3, 3}, Type::bf16, Tag::any);
        const convolution_forward::primitive_desc chosen(cpu, prop_kind::forward_inference, algorithm::convolution_direct,
                                                         map, weights, memory::desc(), map, {1, 1}, {1, 1}, {1, 1});
        names[i] = chosen.impl_info_str(), times[i] = best_ms(chosen, cpu);
        std::printf("%s: %s, %.2f ms\n", i == 0 ? "nChw16c" : "nhwc", names[i].c_str(), times[i]);
    }
    const bool blocked = names[0].find("amx") == std::string::npos && names[0].find("ref") == std::string::npos;
    const bool together = names[1].find("amx") != std::string::npos;
    return blocked && together && times[0] > 2 * times[1] ? 0 : 1;
}
CPP
c++ -std=c++17 -O2 -I"$folder/venv/include" "$folder/kernels.cpp" -L"$folder/venv/lib" -ldnnl -Wl,-rpath,"$folder/venv/lib" \
    -o "$folder/kernels"
OMP_NUM_THREADS=1 "$folder/kernels" || { echo 'oneDNN chooses otherwise now' >&2; exit 1; }
# seen: nChw16c: jit:avx512_core_bf16; nhwc: brgconv:avx512_core_amx or jit:avx512_core_amx
