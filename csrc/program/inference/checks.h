// What must hold of a step before it may run, whoever wrote the plan. Each check raises std::invalid_argument:
// "<where>: <what is wrong>". Feature maps are read and written by loops and kernels that check nothing themselves.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "program/common/buffer.h"
#include "program/common/limits.h"

namespace yolo::program {

struct ConvShape;
struct Scale;

// Bounds of a map. Bilinear upsampling counts cells in floats, which are exact to halves up to here; a kernel's offsets
// inside a map are 32-bit numbers of bytes.
constexpr int64_t kMostSide = 1 << 22;
constexpr int64_t kMostMapBytes = std::numeric_limits<int32_t>::max();

void require(bool fits, const std::string& where, const char* what);

// Bytes of a map with elements of this size, whole channel blocks counted. Raises for sides that no map has.
int64_t map_bytes(const std::string& where, const View& view, int64_t element);

// The map lies in an arena of so many bytes.
void require_inside(const std::string& where, const View& view, int64_t element, int64_t arena);

// How a map lies in memory is what the step can read or write.
void require_blocked(const std::string& where, const View& view);
void require_last(const std::string& where, const View& view);

void require_same_size(const std::string& where, const View& a, const View& b);
// Size, channels and layout.
void require_same_shape(const std::string& where, const View& a, const View& b);
// `to` is `from` with every side `scale` times as long, with the same channels.
void require_scaled(const std::string& where, const View& from, const View& to, int64_t scale);

// The sides of `to` follow from those of `from`.
void require_conv(const std::string& where, const View& from, const View& to, const ConvShape& shape);
void require_pool(const std::string& where, const View& from, const View& to, int64_t kernel, int64_t stride,
                  int64_t padding);

// `count` channels from `start` are there.
void require_channels(const std::string& where, const View& view, int64_t start, int64_t count);

void require_scale(const std::string& where, const Scale& scale);

}  // namespace yolo::program
