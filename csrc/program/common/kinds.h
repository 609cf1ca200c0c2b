// What the verifier knows of each kind of step, and the words in which kinds say what must hold.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "program/common/plan.h"

namespace yolo::program {

enum class Access { read, write };
enum class Phase { both, forward, backward };

// The views of a role: at least `least`, at most `most`.
struct Role {
    const char* name;
    Access access;
    size_t least = 1, most = 1;
};

enum class Type { flag, number, real, text, numbers };

struct AttributeRule {
    const char* name;
    Type type;
    bool needed = true;
};

struct Kind {
    std::vector<Role> roles;
    std::vector<AttributeRule> attributes;
    // Raises std::invalid_argument; views are inside of the arena and attributes of their types by then.
    void (*check)(const Plan& plan, const Step& step);
    // Pairs of roles, the first one written, whose views may be the same.
    std::vector<std::pair<const char*, const char*>> in_place = {};
    // Of a backward step: the kind of the forward step that `of` names.
    const char* of = nullptr;
    // Steps that use what only one pass is given; those with `of` are the backward pass's anyway.
    Phase phase = Phase::both;
};

using Kinds = std::map<std::string, Kind>;

// Those of both directions, those that only train and those that only infer.
void add_shared_kinds(Kinds& kinds);
void add_training_kinds(Kinds& kinds);
void add_inference_kinds(Kinds& kinds);

// Raises std::invalid_argument where a step reads what no step before it has written through the same buffer, or what
// another buffer has been written over since: so maps that are needed at the same time never share memory. Views and
// steps hold by themselves (verify.cpp) by then.
void check_flow(const Plan& plan, const Kinds& kinds);

// Bounds of a map. Bilinear upsampling counts cells in floats, which are exact to halves up to here; a kernel's offsets
// inside a map are 32-bit numbers of bytes.
constexpr int64_t kMostSide = 1 << 22;
constexpr int64_t kMostMapBytes = (int64_t{1} << 31) - 1;
// Gradients or sources that one step adds up; a plan adds up more in several steps.
constexpr size_t kMostSources = 16;

// All of these raise std::invalid_argument: "<where>: <what is wrong>".
void require(bool fits, const Step& step, const char* what);
void require_layout(const Step& step, const TensorView& view, Layout layout);
void require_same_size(const Step& step, const TensorView& a, const TensorView& b);
void require_same_shape(const Step& step, const TensorView& a, const TensorView& b);
// Shape, layout and numbers.
void require_alike(const Step& step, const TensorView& a, const TensorView& b);
// Maps of one shape, in the plan's layout and of its numbers.
void require_maps(const Plan& plan, const Step& step, const std::vector<const char*>& roles);
// The map has the shape of the head that the step names.
void require_head(const Plan& plan, const Step& step, const TensorView& view);
void require_heads_of_attention(const Step& step, const TensorView& view);
// `count` numbers (offset: an attribute) are in the vector of values or of gradients, which has `size`.
void require_numbers(const Step& step, const char* offset, int64_t count, int64_t size);
// `index` can hold the places of the maxima of a max pool with this target.
void require_index(const Step& step, const TensorView& index, const TensorView& target);
// method, kernel, stride, padding: the target's size follows from the source's by them.
std::vector<AttributeRule> window_attributes();
void require_window(const Step& step, const TensorView& source, const TensorView& target);
// kernel, stride, padding, dilation, groups, transposed: the size of `target` follows from that of `source`, both of
// them whole buffers or the only image's.
std::vector<AttributeRule> convolution_attributes();
void require_convolution(const Plan& plan, const Step& step);
// Whether it is one for kernels of our own that copy rows with their padding: in one group, without holes, of small kernels.
bool is_plain_convolution(const Step& step);
// Whether AMX computes it, of bfloat16 or of bytes.
bool fits_amx(const Plan& plan, const Step& step);

}  // namespace yolo::program
