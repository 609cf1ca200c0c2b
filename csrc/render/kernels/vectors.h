// The parts of the kernels that a compiler makes no good vectors of; false where this instruction set has none.
#pragma once

#include <cstdint>
#include <cstring>

#include "render/kernels/kernels.h"
#include "render/sample.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace yolo::render::YOLO_KERNELS {
namespace {

constexpr int64_t kRun = 4;  // pixels at once

#ifdef __AVX2__

// Six bytes of two neighbouring RGB pixels, as 16 bits: the two of each channel side by side.
inline __m128i pairs() {
    return _mm_setr_epi8(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1);
}

// Red, green and blue of the pixel at (x, y), all of whose neighbours are there, as four 32-bit numbers.
inline __m128i sample_one(const uint8_t* pixels, int64_t row, int32_t x, int32_t y) {
    const uint8_t* const at = pixels + (y >> 5) * row + static_cast<int64_t>(x >> 5) * 3;
    const int right = x & 31, lower = y & 31;
    const __m128i upper_row = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at));
    const __m128i lower_row = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at + row));
    const __m128i down = _mm_set1_epi16(static_cast<int16_t>(lower << 8 | (32 - lower)));
    const __m128i across = _mm_set1_epi32(right << 16 | (32 - right));
    const __m128i columns = _mm_maddubs_epi16(_mm_unpacklo_epi8(upper_row, lower_row), down);
    const __m128i sums = _mm_madd_epi16(_mm_shuffle_epi8(columns, pairs()), across);
    return _mm_srli_epi32(_mm_add_epi32(sums, _mm_set1_epi32(512)), 10);
}

inline bool sample_run(const uint8_t* pixels, int64_t row, const int32_t* x, const int32_t* y, uint8_t* const* planes,
                       int64_t to) {
    static_assert(kPlaceBits == 5 && kRun == 4);
    const __m128i first = _mm_packus_epi32(sample_one(pixels, row, x[0], y[0]), sample_one(pixels, row, x[1], y[1]));
    const __m128i second = _mm_packus_epi32(sample_one(pixels, row, x[2], y[2]), sample_one(pixels, row, x[3], y[3]));
    const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m128i rgb = _mm_shuffle_epi8(_mm_packus_epi16(first, second), order);
    const int32_t red = _mm_extract_epi32(rgb, 0), green = _mm_extract_epi32(rgb, 1), blue = _mm_extract_epi32(rgb, 2);
    std::memcpy(planes[0] + to, &red, sizeof red);
    std::memcpy(planes[1] + to, &green, sizeof green);
    std::memcpy(planes[2] + to, &blue, sizeof blue);
    return true;
}

inline bool across_rgb(const uint8_t* from, const Taps* taps, int64_t count, int32_t* out) {
    const __m128i order = _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
    for (int64_t k = 0; k < count; ++k) {
        const uint8_t* const at = from + static_cast<int64_t>(taps[k].first) * 3;
        const __m128i both = _mm_shuffle_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)), order);
        int32_t weights;
        std::memcpy(&weights, taps[k].weights, sizeof weights);
        const __m128i sums = _mm_madd_epi16(both, _mm_set1_epi32(weights));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 3 * k), sums);  // the fourth is overwritten by the next
    }
    return true;
}

#else

inline bool sample_run(const uint8_t*, int64_t, const int32_t*, const int32_t*, uint8_t* const*, int64_t) {
    return false;
}
inline bool across_rgb(const uint8_t*, const Taps*, int64_t, int32_t*) { return false; }

#endif

}  // namespace
}  // namespace yolo::render::YOLO_KERNELS
