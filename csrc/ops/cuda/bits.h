// Places in words of bits.
#pragma once

#include <cstdint>

#include "cuda/words.h"

namespace yolo::ops::cuda {

YOLO_DEVICE int bit_count(uint64_t bits) {
#ifdef __CUDA_ARCH__
    return __popcll(bits);
#else
    return __builtin_popcountll(bits);
#endif
}

// Of a word that is not 0.
YOLO_DEVICE int first_bit(uint64_t bits) {
#ifdef __CUDA_ARCH__
    return __ffsll(static_cast<long long>(bits)) - 1;
#else
    return __builtin_ctzll(bits);
#endif
}

// The `count` lowest bits, 0 to 64.
YOLO_DEVICE uint64_t lowest_bits(int64_t count) {
    return count >= 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

}  // namespace yolo::ops::cuda
