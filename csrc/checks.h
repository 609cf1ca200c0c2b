// Checks that the bindings of several operators share.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "ops/assign.h"

namespace yolo::bindings {

inline void check_fraction(double value, const std::string& name) {
    if (!(value >= 0 && value <= 1)) throw bad(name, "a number from 0 to 1", std::to_string(value));
}

inline void check_count(int64_t value, int64_t least, const std::string& name) {
    if (value < least || value > std::numeric_limits<int32_t>::max()) {
        throw bad(name, "an integer of " + std::to_string(least) + " or more", std::to_string(value));
    }
}

inline ops::Labels check_labels(const Floats& labels, const Ints& counts) {
    if (labels.ndim() != 3 || labels.shape(2) != 5) {
        throw bad("labels", "float32 [B, M, 5]", shape_text(labels));
    }
    const int64_t images = labels.shape(0), capacity = labels.shape(1);
    if (counts.ndim() != 1 || counts.shape(0) != images) {
        throw bad("counts", "one integer an image, [" + std::to_string(images) + "]", shape_text(counts));
    }
    for (int64_t i = 0; i < images; ++i) {
        const int32_t count = counts.data()[i];
        if (count < 0 || count > capacity) {
            throw bad("counts", "numbers from 0 to " + std::to_string(capacity), std::to_string(count));
        }
    }
    return {labels.data(), counts.data(), images, capacity};
}

// sizes: (height, width), one a level, under the name `sizes_name`.
inline std::vector<ops::Level> check_levels(const Floats& anchors,
                                            const std::vector<std::pair<int64_t, int64_t>>& sizes,
                                            const std::string& sizes_name) {
    if (anchors.ndim() != 3 || anchors.shape(2) != 2) {
        throw bad("anchors", "float32 [levels, anchors, 2]", shape_text(anchors));
    }
    const int64_t levels = anchors.shape(0), per_level = anchors.shape(1);
    for (py::ssize_t i = 0; i < anchors.size(); ++i) {
        const float side = anchors.data()[i];
        if (!(side > 0) || !std::isfinite(side)) {
            throw bad("anchors", "sizes above 0, in cells", std::to_string(side));
        }
    }
    if (static_cast<int64_t>(sizes.size()) != levels) {
        throw bad(sizes_name, std::to_string(levels) + " pairs (height, width), one a level",
                  std::to_string(sizes.size()));
    }
    std::vector<ops::Level> result;
    for (int64_t i = 0; i < levels; ++i) {
        check_count(sizes[i].first, 1, sizes_name);
        check_count(sizes[i].second, 1, sizes_name);
        result.push_back({anchors.data() + i * per_level * 2, per_level, sizes[i].first, sizes[i].second});
    }
    return result;
}

}  // namespace yolo::bindings
