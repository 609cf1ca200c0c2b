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

constexpr int64_t kRun = 8;  // pixels at once

#ifdef __AVX2__

// What pixels at places (x, y) need: where their upper left neighbour is, and the weights of two rows and two columns.
struct Places {
    alignas(32) int32_t at[kRun], down[kRun], across[kRun];
};

// False where a pixel has a neighbour that is not there.
inline bool find_places(int64_t row, int64_t width, int64_t height, const int32_t* x, const int32_t* y, Places& places) {
    const __m256i xs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
    const __m256i ys = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(y));
    const __m256i left = _mm256_srai_epi32(xs, kPlaceBits), top = _mm256_srai_epi32(ys, kPlaceBits);
    const __m256i most_left = _mm256_set1_epi32(static_cast<int32_t>(width) - 2);
    const __m256i most_top = _mm256_set1_epi32(static_cast<int32_t>(height) - 2);
    const __m256i beyond = _mm256_or_si256(_mm256_cmpgt_epi32(left, most_left), _mm256_cmpgt_epi32(top, most_top));
    if (_mm256_movemask_epi8(_mm256_or_si256(beyond, _mm256_srai_epi32(_mm256_or_si256(left, top), 31))) != 0) return false;
    const __m256i ones = _mm256_set1_epi32(32), fraction = _mm256_set1_epi32(31);
    const __m256i right = _mm256_and_si256(xs, fraction), lower = _mm256_and_si256(ys, fraction);
    const __m256i line = _mm256_mullo_epi32(top, _mm256_set1_epi32(static_cast<int32_t>(row)));
    const __m256i at = _mm256_add_epi32(line, _mm256_add_epi32(left, _mm256_add_epi32(left, left)));
    _mm256_store_si256(reinterpret_cast<__m256i*>(places.at), at);
    const __m256i down = _mm256_or_si256(_mm256_slli_epi32(lower, 8), _mm256_sub_epi32(ones, lower));
    _mm256_store_si256(reinterpret_cast<__m256i*>(places.down), down);
    const __m256i across = _mm256_or_si256(_mm256_slli_epi32(right, 16), _mm256_sub_epi32(ones, right));
    _mm256_store_si256(reinterpret_cast<__m256i*>(places.across), across);
    return true;
}

// Red, green and blue of one pixel, in 1/1024, as four 32-bit numbers.
inline __m128i sample_one(const uint8_t* pixels, int64_t row, const Places& places, int k) {
    // Of both rows six bytes count: two neighbours' channels, put side by side as 16 bits.
    const __m128i pairs = _mm_setr_epi8(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1);
    const uint8_t* const at = pixels + places.at[k];
    const __m128i upper = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at));
    const __m128i lower = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at + row));
    const __m128i down = _mm_set1_epi16(static_cast<int16_t>(places.down[k]));
    const __m128i columns = _mm_maddubs_epi16(_mm_unpacklo_epi8(upper, lower), down);
    return _mm_madd_epi16(_mm_shuffle_epi8(columns, pairs), _mm_set1_epi32(places.across[k]));
}

// Of pixels k and k + 4, rounded.
inline __m256i sample_two(const uint8_t* pixels, int64_t row, const Places& places, int k) {
    const __m256i sums = _mm256_inserti128_si256(_mm256_castsi128_si256(sample_one(pixels, row, places, k)),
                                                 sample_one(pixels, row, places, k + 4), 1);
    return _mm256_srli_epi32(_mm256_add_epi32(sums, _mm256_set1_epi32(512)), 2 * kPlaceBits);
}

inline bool sample_run(const uint8_t* pixels, int64_t row, int64_t width, int64_t height, const int32_t* x,
                       const int32_t* y, uint8_t* const* planes, int64_t to) {
    static_assert(kPlaceBits == 5 && kRun == 8);
    Places places;
    if (!find_places(row, width, height, x, y, places)) return false;
    const __m256i first = _mm256_packus_epi32(sample_two(pixels, row, places, 0), sample_two(pixels, row, places, 1));
    const __m256i second = _mm256_packus_epi32(sample_two(pixels, row, places, 2), sample_two(pixels, row, places, 3));
    const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m256i four = _mm256_shuffle_epi8(_mm256_packus_epi16(first, second), _mm256_broadcastsi128_si256(order));
    // Four reds, greens, blues of the first half, then of the second: eight of each.
    const __m256i eight = _mm256_permutevar8x32_epi32(four, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    const __m128i reds_greens = _mm256_castsi256_si128(eight), blues = _mm256_extracti128_si256(eight, 1);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(planes[0] + to), reds_greens);
    _mm_storeh_pd(reinterpret_cast<double*>(planes[1] + to), _mm_castsi128_pd(reds_greens));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(planes[2] + to), blues);
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

inline bool sample_run(const uint8_t*, int64_t, int64_t, int64_t, const int32_t*, const int32_t*, uint8_t* const*,
                       int64_t) {
    return false;
}
inline bool across_rgb(const uint8_t*, const Taps*, int64_t, int32_t*) { return false; }

#endif

}  // namespace
}  // namespace yolo::render::YOLO_KERNELS
