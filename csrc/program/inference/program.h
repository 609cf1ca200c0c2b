// A network compiled for inference at one picture size: memory planned, weights packed, kernels chosen.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "program/cpu/activation.h"
#include "program/common/buffer.h"
#include "program/inference/checks.h"
#include "program/cpu/weights.h"
#include "program/cpu/onednn.h"
#include "program/common/runnable.h"
#include "program/common/step_info.h"

namespace yolo::program {

struct ConvShape {
    std::vector<int64_t> kernel, stride, padding, dilation;  // height, width
    int64_t groups;
    bool transposed;
};

// A convolution with what follows it: bias, activation (of `value`), and the sum with `residual` where not null.
struct Convolution {
    View from, to;
    std::string weights;
    bool bias;
    ConvShape shape;
    std::string activation;
    float value;
    const View* residual;
    bool float_output;
};

// What the bytes of a channels-last value stand for: scale * (byte - zero).
struct Scale {
    float scale;
    int32_t zero;
};

// The scales of an int8 convolution's values; those of a float output and of no residual are not looked at.
struct ConvScales {
    Scale from, to, residual;
};

// Built step by step (one method an operation), then run any number of times. Pictures of a batch go through one
// after the other: on a CPU that costs nothing, and channel slices of one picture are dense, so that values are
// joined without copies. Threads may share a program; their runs go one after the other.
// Every method that adds a step raises std::invalid_argument, before it takes memory, for maps outside the arena, for
// sides, channels and numbers that do not fit one another, and where the program outgrows its limits.
class InferenceProgram : public Runnable {
public:
    using Numbers = std::vector<int64_t>;
    // Elements of one map, `from_step` apart, and their places in another.
    struct Run {
        int64_t from, from_step, to, to_step, count;
    };

    // `arena`: bytes of memory for feature maps; `bf16`: feature maps and products in bfloat16, sums in float32.
    InferenceProgram(std::shared_ptr<Weights> weights, int64_t arena, int64_t batch, int threads, bool bf16,
                     const Limits& limits = {});

    // Pictures uint8 [channels, H, W] become floats at `to` (plain): in 0..1 where `scaled`, else as they are, for
    // weights that have the scale in them (bfloat16 holds whole numbers to 256 exactly, but not their 255ths). A `to`
    // with channels last takes the bytes.
    void input(const View& to, bool scaled);
    void conv(const std::string& where, const Convolution& convolution);
    // The same of bytes and signed 8-bit weights (`<weights>.weight`, times `<weights>.scale` a channel), to bytes or,
    // with `float_output`, to floats; channels last.
    void quantised_conv(const std::string& where, const Convolution& convolution, const ConvScales& scales);
    // Floats (blocked) to bytes (channels last) and back.
    void quantise(const std::string& where, const View& from, const View& to, const Scale& scale);
    void dequantise(const std::string& where, const View& from, const View& to, const Scale& scale);
    // `copy` and `upsample` of bytes.
    void copy_bytes(const std::string& where, const View& from, int64_t from_start, const View& to, int64_t to_start,
                    int64_t count);
    void upsample_bytes(const std::string& where, const View& from, const View& to, int64_t scale);
    void pool(const std::string& where, const View& from, const View& to, int64_t kernel, int64_t stride,
              int64_t padding, bool average);
    void activate(const std::string& where, const View& from, const View& to, const std::string& name, float value);
    void add(const std::string& where, const View& a, const View& b, const View& to);
    void upsample(const std::string& where, const View& from, const View& to, int64_t scale);
    // Corners are not aligned.
    void bilinear(const std::string& where, const View& from, const View& to, int64_t scale);
    // `count` channels from `from_start` of `from` to `to_start` of `to`, wherever they lie in their blocks.
    void copy(const std::string& where, const View& from, int64_t from_start, const View& to, int64_t to_start,
              int64_t count);
    // to[c] = from[c] * scale[c] + shift[c], with constants `<weights>.scale` and `<weights>.shift`.
    void affine(const std::string& where, const View& from, const View& to, const std::string& weights);
    // softmax(q k^T / sqrt(d)) v over cells, channels in `heads` groups of d in a row (Vaswani et al. 2017).
    void attention(const std::string& where, const View& q, const View& k, const View& v, const View& to,
                   int64_t heads);
    void pad(const std::string& where, const View& from, const View& to, int64_t left, int64_t top);
    void space_to_depth(const std::string& where, const View& from, const View& to, int64_t gain, bool column_major);
    void depth_to_space(const std::string& where, const View& from, const View& to, int64_t gain);
    // The next output of the program: float32 [channels, height, width].
    void output(const View& from);
    // To be called once, after the last step.
    void finish();
    bool finished() const { return finished_; }

    // inputs[0]: uint8 [batch, channels, H, W]; outputs[i]: float32 [batch, channels, h, w].
    void run(const void* const* inputs, void* const* outputs) override;
    void profile(const void* const* inputs, void* const* outputs);

    int64_t batch() const { return batch_; }
    const View& input_view() const { return input_; }
    const std::vector<View>& output_views() const { return outputs_; }
    const std::vector<StepInfo>& steps() const { return info_; }
    int64_t memory_bytes() const { return static_cast<int64_t>(arena_.bytes() + scratch_bytes_); }

private:
    struct ConvPlan {
        dnnl::primitive primitive;
        dnnl::memory::desc source, weights, target, scratch;
        std::string implementation;
        int residual_argument;
    };
    using Arguments = std::unordered_map<int, dnnl::memory>;

    int64_t element() const { return bf16_ ? 2 : 4; }
    // The map lies in the arena; `as_float`: with elements of float32, whatever the program's are.
    void check(const std::string& where, const View& view, bool as_float = false) const;
    void check_blocked(const std::string& where, const View& from, const View& to) const;
    void check_conv(const std::string& where, const Convolution& convolution) const;
    void check_turned(const std::string& where, const View& floats, const View& bytes, const Scale& scale) const;
    void check_cells(const std::string& where, const View& from, const View& to) const;
    // Count memory and work that a step needs against the limits.
    void take(const std::string& where, double bytes);
    void spend(const std::string& where, double operations);
    dnnl::memory constant(const std::string& where, const std::string& name, const dnnl::memory::desc& desc);
    std::byte* at(const View& view) const { return arena_.data() + view.offset; }
    dnnl::memory::data_type type() const;
    dnnl::memory::desc desc(const View& view, bool as_float = false) const;
    dnnl::memory tensor(const View& view, bool as_float = false) const;
    ConvPlan plan(const Convolution& convolution, const dnnl::memory::desc& source, const dnnl::memory::desc& target,
                  bool with_residual) const;
    void move_layout(const std::string& where, dnnl::memory from, dnnl::memory to);
    void step(StepInfo info, std::function<void()> action);
    void primitive(StepInfo info, const dnnl::primitive& primitive, Arguments arguments,
                   const dnnl::memory::desc& scratch);
    void cells(const std::string& kind, const std::string& where, const View& from, const View& to, const View& walked,
               bool clear, std::function<Run(int64_t, int64_t)> run);
    void own_pool(const std::string& where, const View& from, const View& to, int64_t kernel, int64_t stride,
                  int64_t padding, bool average);
    void planes(StepInfo info, const View& from, const View& to, std::function<void(const void*, void*)> loop);
    void load(const uint8_t* picture);
    void load_bytes(const uint8_t* picture);
    void store(const View& view, float* output) const;
    void store_last(const View& view, float* output) const;
    void one(const uint8_t* picture, float* const* outputs, bool timed);
    void all(const void* const* inputs, void* const* outputs, bool timed);

    std::shared_ptr<Weights> weights_;
    Limits limits_;
    double taken_ = 0.0, work_ = 0.0;
    int64_t arena_bytes_;
    Buffer arena_;
    int64_t batch_;
    int threads_;
    bool bf16_;
    dnnl::stream stream_;
    std::vector<std::function<void()>> actions_;
    std::vector<StepInfo> info_;
    std::vector<dnnl::memory> scratch_users_;
    size_t scratch_bytes_ = 0;
    std::unique_ptr<Buffer> scratch_;
    View input_{};
    bool scaled_ = true, finished_ = false;
    std::vector<View> outputs_;
    std::mutex mutex_;
};

}  // namespace yolo::program
