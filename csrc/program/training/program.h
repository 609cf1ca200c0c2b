// The forward and the backward pass of a network as two Runnables on one piece of memory.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "program/common/buffer.h"
#include "program/common/runnable.h"
#include "program/training/convolution.h"
#include "program/cpu/memory.h"
#include "program/training/planes.h"
#include "program/training/stage.h"
#include "program/training/step.h"

namespace yolo::program::training {

using Numbers = std::vector<int64_t>;

// Built step by step in the order of execution, forward before backward, then finish(), then run any number of times:
// forward, and backward once for it. Not for several threads at once: the passes share the feature maps.
//
// Slices and offsets are in an arena of `arena` bytes, into which the maker of the program has packed all maps. It lies
// in `memory`, which programs may share that run one after the other, each backward right after its forward.
class TrainingProgram {
public:
    // Raises std::invalid_argument for bfloat16 on a processor whose oneDNN has no instructions for it.
    // `exchange` joins the batch norms of all ranks; null for none.
    TrainingProgram(int64_t arena, int64_t batch, int threads, bool bf16, std::shared_ptr<Memory> memory,
                    std::shared_ptr<net::Exchange> exchange);

    void load_images(const Slice& target, bool bytes);
    // Gives a number by which its gradient names it.
    int conv(const ConvolutionSpec& spec);
    int stage(const StageSpec& spec);
    void resample(const std::string& where, Resampling kind, const Slice& source, const Slice& target,
                  const Window& window, int64_t index);
    void collect(const std::string& where, const Slice& fine, const Slice& coarse, const std::vector<Link>& links,
                 int64_t stride, bool backward);
    void spread(const std::string& where, const Slice& fine, const Slice& coarse, const std::vector<Link>& links,
                int64_t stride, bool clear, bool backward);
    void attention(const std::string& where, const std::array<Slice, 3>& given, const Slice& target, int64_t heads);
    void store_head(const std::string& where, const Slice& source);

    void load_head_gradient(const std::string& where, const Slice& target, int64_t number);
    // `source`: where the convolution's source lies in the backward pass.
    void conv_back(int number, const Slice& source, const Slice& gradient, const std::optional<Slice>& source_gradient);
    void stage_back(int number, const std::vector<Slice>& gradients, const std::optional<Slice>& source_gradient,
                    const std::optional<Slice>& sum);
    // What a stage or a resampling made, once more, for the backward pass: from what is still there, to the last bit.
    void stage_again(int number, const std::vector<Slice>& targets, const std::optional<Slice>& residual);
    void resample_again(const std::string& where, Resampling kind, const Slice& source, const Slice& target,
                        const Window& window, int64_t index);
    void attention_back(const std::string& where, const std::array<Slice, 3>& given, const Slice& gradient,
                        const std::array<Slice, 3>& to, int64_t heads);
    void resample_back(const std::string& where, Resampling kind, const std::vector<Slice>& gradients,
                       const Slice& source_gradient, const Window& window, int64_t index);
    void accumulate(const std::string& where, const std::vector<Slice>& sources, const Slice& target);
    void finish();

    // images uint8 or float32 [B, C, H, W], values float32 [size]; heads float32 [B, C, h, w].
    // Moves the running statistics in `values`.
    void forward(const void* images, float* values, void* const* heads);
    // Adds to gradient, float32 [parameters]. Raises std::logic_error without a forward of its own before it.
    void backward(const void* const* head_gradients, float* values, float* gradient);

    const std::vector<Slice>& heads() const { return heads_; }
    const Slice& images() const { return images_; }
    bool takes_bytes() const { return takes_bytes_; }
    int64_t batch() const { return place_.batch; }
    Memory& memory() const { return *memory_; }
    // Of what it needs of the memory, and of its own.
    int64_t memory_bytes() const {
        return static_cast<int64_t>(arena_bytes_ + workspace_.bytes() + planes_bytes_ + scratch_.bytes());
    }
    // Steps of both passes, with their times while `profiling`.
    std::vector<StepInfo> steps() const;
    void profile(bool on);
    // What is slower than it should be.
    std::vector<std::string> notes() const;

private:
    void run(std::vector<Step>& steps, const Run& run);
    void widest(const Slice& slice);

    std::shared_ptr<Memory> memory_;
    size_t arena_bytes_;
    size_t planes_bytes_ = 0;
    std::shared_ptr<Buffer> arena_, planes_;
    Buffer scratch_;
    Place place_;
    std::shared_ptr<net::Exchange> exchange_;
    Workspace workspace_;
    std::vector<float*> pieces_;
    int64_t plane_ = 0;
    std::vector<std::unique_ptr<Convolution>> convolutions_;
    std::vector<std::unique_ptr<Stage>> stages_;
    std::vector<Step> forward_, backward_;
    Slice images_{};
    bool takes_bytes_ = false;
    std::vector<Slice> heads_;
    bool profiling_ = false;
};

// Inputs: images, then values (mutable). Outputs: the heads.
class ForwardPass final : public Runnable {
public:
    explicit ForwardPass(std::shared_ptr<TrainingProgram> program) : program_(std::move(program)) {}
    void run(const void* const* inputs, void* const* outputs) override;

private:
    std::shared_ptr<TrainingProgram> program_;
};

// Inputs: the heads' gradients, values, then gradient (mutable). No outputs.
class BackwardPass final : public Runnable {
public:
    explicit BackwardPass(std::shared_ptr<TrainingProgram> program) : program_(std::move(program)) {}
    void run(const void* const* inputs, void* const* outputs) override;

private:
    std::shared_ptr<TrainingProgram> program_;
};

}  // namespace yolo::program::training
