#include "net/process.h"

#include <signal.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace yolo::net {
namespace {

constexpr int kFieldsBeforeStart = 19;  // proc(5), stat: behind the name, which may hold spaces and brackets

uint64_t start_of(int number) {
    std::ifstream file("/proc/" + std::to_string(number) + "/stat");
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return 0;
    std::istringstream fields(text.substr(name_end + 1));
    std::string skipped;
    for (int field = 0; field < kFieldsBeforeStart; ++field) fields >> skipped;
    uint64_t start = 0;
    fields >> start;
    return fields ? start : 0;
}

}  // namespace

void kill_same(const Process& process) {
    if (process.number > 1 && process.start != 0 && start_of(process.number) == process.start) {
        ::kill(process.number, SIGKILL);
    }
}

}  // namespace yolo::net
