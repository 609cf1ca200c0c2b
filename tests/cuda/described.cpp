// The algorithms of convolutions on a GPU that is described: described CUDNN_FOLDER PLANS_FOLDER DESCRIPTION TF32 PASS
// NUMBER GROUPS EPILOGUE... Each argument after TF32 in fours is one convolution, of 64 channels and 3x3 over 40x40
// pixels, every map beside another one in its pixels; EPILOGUE: b (bias), s (SiLU), h (Hardswish), r (residual) or none.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cuda/gpu/algorithms.h"

using namespace yolo::cuda;

int main(int count, char** given) {
    ConvSettings settings;
    settings.library = given[1], settings.plans = given[2], settings.device = given[3];
    settings.tf32 = std::string(given[4]) == "tf32";
    for (int i = 5; i + 3 < count; i += 4) {
        const auto pass = static_cast<ConvPass>(std::atoi(given[i]));
        const ConvMap map{64, 40, 40, 128};
        const ConvProblem problem{static_cast<Number>(std::atoi(given[i + 1])), 2, map, map, {3, 3}, {1, 1}, {1, 1}, {1, 1},
                                  std::atoll(given[i + 2])};
        const std::string epilogue = given[i + 3];
        const auto has = [&](char letter) { return epilogue.find(letter) != std::string::npos; };
        Epilogue after{has('b'), has('s') ? "SiLU" : has('h') ? "Hardswish" : "Identity", has('r')};
        after.residual_pitch = has('r') ? 192 : 0;
        try {
            const auto found = cudnn::algorithm(problem, pass, after, settings);
            std::printf("%s|fused %d|packed %d|wide %d|operands", found->name.c_str(), found->form.fused, found->form.packed,
                        found->form.wide_weights);
            for (const int64_t operand : found->operands) std::printf(" %d", static_cast<int>(operand));
            std::printf("|%lld\n", static_cast<long long>(found->workspace_bytes()));
        } catch (const DeviceError& error) {
            std::printf("error: %s\n", error.what());
        }
    }
}
