#include "program/inference/checks.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "program/inference/program.h"

namespace yolo::program {

void require(bool fits, const std::string& where, const char* what) {
    if (!fits) throw std::invalid_argument(where + ": " + what);
}

int64_t map_bytes(const std::string& where, const View& view, int64_t element) {
    const auto is_side = [](int64_t side) { return side >= 1 && side <= kMostSide; };
    require(is_side(view.channels) && is_side(view.height) && is_side(view.width), where, "a map has impossible sides");
    const int64_t channels = view.plain || view.last ? view.channels : padded_channels(view.channels);
    int64_t bytes = channels * element;  // at most 2^22 * 4
    const bool fits = !__builtin_mul_overflow(bytes, view.height, &bytes) &&
                      !__builtin_mul_overflow(bytes, view.width, &bytes) && bytes <= kMostMapBytes;
    require(fits, where, "a map has more than 2 GiB");
    return bytes;
}

void require_inside(const std::string& where, const View& view, int64_t element, int64_t arena) {
    const int64_t bytes = map_bytes(where, view, element);
    require(view.offset >= 0 && view.offset % element == 0 && view.offset <= arena - bytes, where,
            "a map lies outside the program's memory");
}

void require_blocked(const std::string& where, const View& view) {
    require(!view.plain && !view.last, where, "takes maps whose channels lie in blocks");
}

void require_last(const std::string& where, const View& view) {
    require(view.last && !view.plain, where, "takes maps whose channels lie together");
}

void require_same_size(const std::string& where, const View& a, const View& b) {
    require(a.height == b.height && a.width == b.width, where, "its maps have different sizes");
}

void require_same_shape(const std::string& where, const View& a, const View& b) {
    require_same_size(where, a, b);
    require(a.channels == b.channels, where, "its maps have different numbers of channels");
    require(a.plain == b.plain && a.last == b.last, where, "its maps have different layouts");
}

void require_scaled(const std::string& where, const View& from, const View& to, int64_t scale) {
    require(scale >= 1 && scale <= kMostSide, where, "its scale is out of range");
    require(to.height == from.height * scale && to.width == from.width * scale, where, "its output has another size");
    require(from.channels == to.channels, where, "its maps have different numbers of channels");
}

void require_conv(const std::string& where, const View& from, const View& to, const ConvShape& s) {
    for (const auto* pair : {&s.kernel, &s.stride, &s.padding, &s.dilation}) {
        const int64_t least = pair == &s.padding ? 0 : 1;
        require(pair->size() == 2 && (*pair)[0] >= least && (*pair)[1] >= least && (*pair)[0] <= kMostSide &&
                    (*pair)[1] <= kMostSide,
                where, "kernel, stride, padding or dilation is out of range");
    }
    require(s.groups >= 1 && from.channels % s.groups == 0 && to.channels % s.groups == 0, where,
            "its channels do not divide into its groups");
    const int64_t in[] = {from.height, from.width}, out[] = {to.height, to.width};
    for (int axis = 0; axis < 2; ++axis) {
        const int64_t reach = s.dilation[axis] * (s.kernel[axis] - 1) + 1, padding = 2 * s.padding[axis];
        if (s.transposed) {
            const int64_t extra = out[axis] - ((in[axis] - 1) * s.stride[axis] - padding + reach);
            require(extra >= 0 && extra < std::max(s.stride[axis], s.dilation[axis]), where, "its output has another size");
        } else {
            require(in[axis] + padding >= reach && out[axis] == (in[axis] + padding - reach) / s.stride[axis] + 1, where,
                    "its output has another size");
        }
    }
}

void require_pool(const std::string& where, const View& from, const View& to, int64_t kernel, int64_t stride,
                  int64_t padding) {
    require(kernel >= 1 && kernel <= kMostSide && stride >= 1 && stride <= kMostSide, where,
            "kernel or stride is out of range");
    require(padding >= 0 && 2 * padding <= kernel, where, "its padding is more than half of its kernel");
    const auto side = [=](int64_t in) { return in + 2 * padding < kernel ? 0 : (in + 2 * padding - kernel) / stride + 1; };
    require(to.height == side(from.height) && to.width == side(from.width), where, "its output has another size");
    require(from.channels == to.channels && from.last == to.last && !from.plain && !to.plain, where,
            "its maps have different channels or layouts");
}

void require_channels(const std::string& where, const View& view, int64_t start, int64_t count) {
    require(start >= 0 && count >= 1 && start <= view.channels - count, where, "takes channels that are not there");
}

void require_scale(const std::string& where, const Scale& scale) {
    require(std::isfinite(scale.scale) && scale.scale > 0.0f && scale.zero >= 0 && scale.zero <= 255, where,
            "a scale is not one that bytes can have");
}

}  // namespace yolo::program
