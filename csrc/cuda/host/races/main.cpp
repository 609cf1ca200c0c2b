// Runs operators and steps of csrc/ops/cuda and csrc/program/cuda: all of them under ThreadSanitizer (make stress), or
// changed ones as tests/cuda/test_mutants.py builds them; with arguments, those whose names begin so. Prints for each a
// number for its results, which must be the same in two orders of the threads.
#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "cuda/host/races/cases.h"
#include "cuda/host/races/schedule.h"

namespace yolo::cuda::races {

std::vector<Case>& cases() {
    static std::vector<Case> all;
    return all;
}

std::byte* Memory::take(size_t bytes, int filled, bool result) {
    auto* const made = static_cast<std::byte*>(::operator new(bytes, std::align_val_t{kAlignment}));
    pieces_.push_back({std::unique_ptr<std::byte, Free>(made), bytes, result});
    std::memset(made, filled, bytes);
    return made;
}

Map Memory::map(Number number, int64_t images, int64_t height, int64_t width, int64_t channels, int64_t more) {
    Map made{nullptr, number, images, height, width, channels, 0};
    made.pitch = made.lanes() + more;
    with_type(number, [&](auto type) {
        using T = decltype(type);
        T* const data = take<T>(made.pixels() * made.pitch);
        made.data = data;
        for (int64_t i = 0; i < made.pixels() * made.pitch; ++i) {
            const int64_t lane = i % made.pitch;
            const bool behind = lane >= channels && lane < made.lanes();
            data[i] = rounded<T>(behind ? 0.0f : this->number(-2.0f, 2.0f));
        }
    });
    return made;
}

uint64_t Memory::digest() const {
    uint64_t found = 14695981039346656037u;  // FNV-1a
    for (const Piece& piece : pieces_) {
        for (size_t i = 0; piece.result && i < piece.bytes; ++i) {
            found = (found ^ static_cast<uint8_t>(piece.data.get()[i])) * 1099511628211u;
        }
    }
    return found;
}

// Whether its results are the same in two orders.
bool run(const Case& one) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    uint64_t found[2];
    for (uint32_t number : {0u, 1u}) {
        Memory memory;
        set_schedule(number + 1);
        one.run(memory);
        found[number] = memory.digest();
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    std::printf("%-44s %016" PRIx64 " %6.2f s%s\n", one.name.c_str(), found[0], seconds,
                found[0] == found[1] ? "" : "  AND ANOTHER RESULT IN ANOTHER ORDER");
    std::fflush(stdout);
    return found[0] == found[1];
}

}  // namespace yolo::cuda::races

int main(int count, char** names) {
    using yolo::cuda::races::Case;
    bool same = true, any = false;
    for (const Case& one : yolo::cuda::races::cases()) {
        const auto begins = [&](const char* name) { return one.name.rfind(name, 0) == 0; };
        if (count > 1 && !std::any_of(names + 1, names + count, begins)) continue;
        same = yolo::cuda::races::run(one) && same, any = true;
    }
    if (!any) std::fputs("no such operators\n", stderr);
    return same && any ? 0 : 1;
}
