// What of csrc/cuda/gpu works without a GPU, for tests: gpu_half COMMAND ARGUMENTS...
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "cuda/device.h"
#include "cuda/gpu/plan_store.h"
#include "cuda/gpu/probe.h"

using namespace yolo::cuda;

namespace {

int unavailable_and_refusals() {
    std::printf("%s\n", unavailable(0).c_str());
    const auto line = [](const auto& action) {
        try {
            action();
            std::printf("done\n");
        } catch (const DeviceError& error) {
            std::printf("%s\n", error.what());
        }
    };
    line([] { DeviceBuffer(0); });
    line([] { DeviceBuffer(100); });
    line([] { OwnStream(); });
    line([] { memory_info(); });
    line([] { description(0); });
    line([] { Recording([](Stream) {}); });
    return 0;
}

int objection_to(char** given) {
    const auto number = [&](int i) { return std::atoi(given[i]); };
    const Probe probe{number(0), number(1), number(2), number(3), "status", given[7], given[6], number(4), number(5), number(8)};
    std::printf("%s\n", objection(probe).c_str());
    return 0;
}

int kept(const char* folder, const char* key) {
    const auto found = kept_plan(folder, key);
    if (found) std::printf("%s|%s|%s", found->form.c_str(), found->name.c_str(), found->plan.c_str());
    return found ? 0 : 3;
}

int keep(const char* folder, const char* key, const char* file) {
    std::ifstream in(file, std::ios::binary);
    keep_plan(folder, key, {"a form", "a name", {std::istreambuf_iterator<char>(in), {}}});
    return 0;
}

}  // namespace

int main(int count, char** given) {
    const auto is = [&](const char* command, int arguments) {
        return count == arguments + 2 && std::strcmp(given[1], command) == 0;
    };
    if (is("unavailable", 0)) return unavailable_and_refusals();
    if (is("objection", 9)) return objection_to(given + 2);
    if (is("kept", 2)) return kept(given[2], given[3]);
    if (is("keep", 3)) return keep(given[2], given[3], given[4]);
    return 2;
}
