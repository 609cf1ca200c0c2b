// What runs, in which order, and where its numbers lie: plain data. yolo/program/plan.py is the same in Python.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace yolo::program {

enum class Layout { blocked, nchw, nhwc };

// Channels `first` to `first + channels` of a buffer at `offset` bytes in the arena. Blocked: [batch, buffer_channels /
// V, height, width, V] with V channels in a block. Nhwc: [batch, height, width, buffer_channels]. Of maps in the plan's
// own layout `first` and `buffer_channels` are whole blocks, and lanes after the last channel hold zeros; maps in others
// are whole buffers. `element`: bytes of a number (1, 2 or 4).
struct TensorView {
    int64_t offset = 0;
    int64_t channels = 0;
    int64_t height = 0;
    int64_t width = 0;
    int64_t element = 4;
    Layout layout = Layout::blocked;
    int64_t first = 0;
    int64_t buffer_channels = 0;

    int64_t pixels() const { return height * width; }
    bool wide() const { return element == 4; }
    // Bytes between the images of a batch.
    int64_t image_bytes() const { return buffer_channels * pixels() * element; }
    // Blocked: bytes in the arena before image `n`, the view's channel block `block` of `lanes` channels.
    int64_t plane(int64_t n, int64_t block, int64_t lanes) const {
        return offset + n * image_bytes() + (first + block * lanes) * pixels() * element;
    }
};

using Views = std::vector<TensorView>;
using Numbers = std::vector<int64_t>;
using Attribute = std::variant<bool, int64_t, double, std::string, Numbers>;

// One entry of an executor's table, by `kind`. What it reads and writes has a role each; what else it takes a name.
// Asking for what is not there raises std::invalid_argument: "<where>: <kind> has no <name>".
struct Step {
    std::string kind;
    std::string where;
    std::map<std::string, Views> views;
    std::map<std::string, Attribute> attributes;

    const Views& all(const std::string& role) const {
        const auto found = views.find(role);
        if (found == views.end()) throw std::invalid_argument(where + ": " + kind + " has no " + role);
        return found->second;
    }
    const TensorView& view(const std::string& role) const {
        const Views& found = all(role);
        if (found.size() != 1) throw std::invalid_argument(where + ": " + kind + " takes one " + role);
        return found.front();
    }
    // Empty, or null, where there is none.
    const Views& any(const std::string& role) const {
        static const Views none;
        return views.count(role) ? all(role) : none;
    }
    const TensorView* optional(const std::string& role) const { return views.count(role) ? &view(role) : nullptr; }

    template <class Type>
    const Type& attribute(const std::string& name) const {
        const auto found = attributes.find(name);
        const Type* const value = found == attributes.end() ? nullptr : std::get_if<Type>(&found->second);
        if (value == nullptr) throw std::invalid_argument(where + ": " + kind + " has no " + name);
        return *value;
    }
    int64_t number(const std::string& name) const { return attribute<int64_t>(name); }
    double real(const std::string& name) const { return attribute<double>(name); }
    bool flag(const std::string& name) const { return attribute<bool>(name); }
    const std::string& text(const std::string& name) const { return attribute<std::string>(name); }
    const Numbers& numbers(const std::string& name) const { return attribute<Numbers>(name); }
    bool has(const std::string& name) const { return attributes.count(name) != 0; }
};

// A network for one target and one shape of images. `layout`: of its maps; `block`: channels in a block; `element`: bytes
// of a number in the maps that are not bytes; `half`: where these are 2, binary16 instead of bfloat16; `images` [B, C, H, W]; `heads`: shapes of what leaves it. No backward steps: inference. With
// `per_image` the maps hold one image, and the steps run for each image of a batch in turn. `values`, `gradient`: numbers
// that the vectors of parameters and statistics, and of the parameters' gradients, have at least.
struct Plan {
    Layout layout = Layout::blocked;
    int64_t block = 8;
    int64_t element = 4;
    bool half = false;
    int threads = 1;
    Numbers images;
    std::vector<Numbers> heads;
    int64_t arena = 0;
    std::vector<Step> forward, backward;
    bool per_image = false;
    int64_t values = 0, gradient = 0;

    int64_t batch() const { return per_image ? 1 : images[0]; }
};

}  // namespace yolo::program
