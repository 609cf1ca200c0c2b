// What this processor can do at best, as JSON: products a second in each precision, and bytes a second of a copy.
//
// machine THREADS BYTES: on so many threads at once, over so many bytes of memory together. Operations: a multiplication
// and an addition are two. Built by benchmarks/layers.py for the processor that it runs on.
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

namespace {

constexpr int kRounds = 60;
constexpr int kSums = 14;  // as many as hide the latency of a multiplication; more would not fit into AVX2's 16 registers
constexpr int64_t kSteps = 100000;

// The best rate of all rounds: every thread does `work` operations (or bytes) in each, and begins as the others do.
double best(int threads, double work, const std::function<void(int)>& action) {
    double found = 0.0;
    std::atomic<int> waiting{0};
    std::vector<double> ended(threads);
    for (int round = 0; round < kRounds; ++round) {
        waiting = threads;
        std::vector<std::thread> all;
        std::vector<std::chrono::duration<double>> times(threads);
        for (int t = 0; t < threads; ++t) {
            all.emplace_back([&, t] {
                for (--waiting; waiting > 0;) _mm_pause();
                const auto start = std::chrono::steady_clock::now();
                action(t);
                times[t] = std::chrono::steady_clock::now() - start;
            });
        }
        for (std::thread& thread : all) thread.join();
        const auto slowest = *std::max_element(times.begin(), times.end());
        found = std::max(found, work * threads / slowest.count());
    }
    return found;
}

// Calls step(sum) for each of kSums registers, again and again, and keeps the compiler from leaving any out.
template <class Vector, class Step>
void spin(const Step& step) {
    Vector sums[kSums] = {};
    for (int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 16
        for (Vector& sum : sums) {
            sum = step(sum);
            asm volatile("" : "+x"(sum));
        }
    }
}

#ifdef __AVX512F__
using Floats = __m512;
using Ints = __m512i;
inline Floats multiply(Floats sum, Floats a) { return _mm512_fmadd_ps(a, a, sum); }
#else
using Floats = __m256;
using Ints = __m256i;
inline Floats multiply(Floats sum, Floats a) { return _mm256_fmadd_ps(a, a, sum); }
#endif
constexpr double kVectorWork = 2.0 * kSums * kSteps;

double floats(int threads) {
    Floats a{};
    asm volatile("" : "+x"(a));
    return best(threads, kVectorWork * (sizeof(Floats) / 4), [=](int) {
        spin<Floats>([=](Floats sum) { return multiply(sum, a); });
    });
}

#ifdef __AMX_BF16__
struct Shapes {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

template <class Action>
double tiles(int threads, double work, const Action& action) {
    return best(threads, 4 * work * kSteps, [&](int) {
        const Shapes shapes;
        asm volatile("" ::"r"(&shapes) : "memory");
        _tile_loadconfig(&shapes);
        for (int64_t i = 0; i < kSteps; ++i) action();
        _tile_release();
    });
}

double halves(int threads) {
    return tiles(threads, 2.0 * 16 * 16 * 32, [] {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    });
}

double bytes(int threads) {
    return tiles(threads, 2.0 * 16 * 16 * 64, [] {
        _tile_dpbusd(0, 4, 6);
        _tile_dpbusd(1, 4, 7);
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
    });
}
#else
#ifdef __AVX512BF16__
double halves(int threads) {
    const __m512bh a{};
    return best(threads, kVectorWork * 32, [=](int) {
        spin<__m512>([=](__m512 sum) { return _mm512_dpbf16_ps(sum, a, a); });
    });
}
#else
double halves(int threads) { return floats(threads); }  // products of bfloat16 are those of floats then
#endif

inline Ints multiply(Ints sum, Ints a) {
#if defined(__AVX512VNNI__)
    return _mm512_dpbusd_epi32(sum, a, a);
#elif defined(__AVXVNNI__) && !defined(__AVX512F__)
    return _mm256_dpbusd_avx_epi32(sum, a, a);
#elif defined(__AVX512BW__)
    return _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(a, sum), a));
#else
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, sum), a));
#endif
}

double bytes(int threads) {
    Ints a{};
    asm volatile("" : "+x"(a));
    return best(threads, kVectorWork * sizeof(Ints), [=](int) { spin<Ints>([=](Ints sum) { return multiply(sum, a); }); });
}
#endif

// Bytes read and bytes written, each counted once.
double copies(int threads, int64_t total) {
    const int64_t half = std::max<int64_t>(total / 2 / threads, 4096);
    std::vector<std::vector<char>> from(threads, std::vector<char>(half, 1)), to = from;
    const int64_t times = std::max<int64_t>(1, (8 << 20) / half);
    return best(threads, 2.0 * static_cast<double>(half * times), [&](int thread) {
        for (int64_t i = 0; i < times; ++i) {
            std::memcpy(to[thread].data(), from[thread].data(), half);
            asm volatile("" ::: "memory");
        }
    });
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) return std::fprintf(stderr, "usage: machine THREADS BYTES\n"), 2;
    const int threads = std::max(1, std::atoi(arguments[1]));
#ifdef __AMX_BF16__
    constexpr int kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM: tiles are given on request
    if (syscall(SYS_arch_prctl, kRequest, kTileData) != 0) return std::perror("tiles"), 1;
#endif
    std::printf("{\"fp32\": %.6g, \"bf16\": %.6g, \"int8\": %.6g, \"copy\": %.6g}\n", floats(threads), halves(threads),
                bytes(threads), copies(threads, std::atoll(arguments[2])));
}
