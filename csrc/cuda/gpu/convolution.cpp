// Convolutions by cuDNN 9.
#include "cuda/convolution.h"

#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include "cuda/gpu/algorithms.h"
#include "cuda/gpu/cudnn.h"
#include "cuda/gpu/current.h"
#include "cuda/gpu/runtime.h"
#include "cuda/gpu/widen.h"

namespace yolo::cuda {
namespace {

struct Current {
    std::mutex mutex;
    ConvSettings settings;
};

Current& current() {
    static auto* const one = new Current;
    return *one;
}

ConvSettings settings() {
    const std::lock_guard<std::mutex> lock(current().mutex);
    return current().settings;
}

// One map's place in the workspace, where its pixels lie without gaps.
struct Packed {
    size_t offset, row_bytes, pitch_bytes, rows;
    bool needed;

    void* place(void* workspace) const { return static_cast<std::byte*>(workspace) + offset; }
    void in(void* workspace, const void* map, Stream stream) const {
        move(place(workspace), row_bytes, map, pitch_bytes, stream);
    }
    void out(void* workspace, void* map, Stream stream) const {
        move(map, pitch_bytes, place(workspace), row_bytes, stream);
    }

private:
    void move(void* to, size_t to_pitch, const void* from, size_t from_pitch, Stream stream) const {
        check(cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, row_bytes, rows, cudaMemcpyDeviceToDevice, stream),
              "packing a map");
    }
};

}  // namespace

void configure(const ConvSettings& settings) {
    const std::lock_guard<std::mutex> lock(current().mutex);
    current().settings = settings;
}

std::string convolutions_unavailable() {
    try {
        const Entered entered;
        cudnn::Library::load(settings().library, settings().device);
        return "";
    } catch (const DeviceError& error) {
        return error.what();
    }
}

// The workspace: cuDNN's own, then the source, the target and the weights where they are not taken as they are.
struct Convolution::Made {
    ConvProblem problem;
    ConvPass pass;
    Epilogue epilogue;
    std::shared_ptr<const cudnn::Algorithm> algorithm;
    size_t bytes = 0;
    Packed source{}, target{};
    size_t narrow = 0;  // where weights of the maps' numbers are, if they are not written as float32

    Made(const ConvProblem& problem, ConvPass pass, const Epilogue& epilogue)
        : problem(problem), pass(pass), epilogue(epilogue),
          algorithm(cudnn::algorithm(problem, pass, epilogue, settings())) {
        take(static_cast<size_t>(algorithm->workspace_bytes()));
        source = packed(problem.source);
        target = packed(problem.target);
        if (narrow_weights()) narrow = take(static_cast<size_t>(problem.weights()) * bytes_of(problem.number));
    }

    bool narrow_weights() const { return pass == ConvPass::weight_gradient && !algorithm->form.wide_weights; }

    void run(const ConvOperands& at, void* workspace, Stream stream) const {
        void* const from = source.needed ? source.place(workspace) : at.source;
        void* const to = target.needed ? target.place(workspace) : at.target;
        void* const weights = narrow_weights() ? static_cast<std::byte*>(workspace) + narrow : at.weights;
        if (source.needed && pass != ConvPass::source_gradient) source.in(workspace, at.source, stream);
        if (target.needed && pass != ConvPass::forward) target.in(workspace, at.target, stream);
        algorithm->run(addresses(at, from, weights, to), workspace, stream);
        if (source.needed && pass == ConvPass::source_gradient) source.out(workspace, at.source, stream);
        if (target.needed && pass == ConvPass::forward) target.out(workspace, at.target, stream);
        if (narrow_weights()) {
            widen(weights, problem.number, static_cast<float*>(at.weights), problem.weights(), stream);
        }
    }

private:
    // The offset of a new piece of the workspace.
    size_t take(size_t size) {
        constexpr size_t kAlignment = 256;
        const size_t offset = bytes;
        bytes += (size + kAlignment - 1) / kAlignment * kAlignment;
        return offset;
    }

    Packed packed(const ConvMap& map) {
        const size_t number = bytes_of(problem.number), row = static_cast<size_t>(map.channels) * number;
        const auto rows = static_cast<size_t>(problem.images * map.height * map.width);
        const bool needed = algorithm->form.packed && map.pitch != map.channels;
        return {needed ? take(rows * row) : 0, row, static_cast<size_t>(map.pitch) * number, rows, needed};
    }

    // In the order of the algorithm's operands.
    std::vector<void*> addresses(const ConvOperands& at, void* source, void* weights, void* target) const {
        std::vector<void*> all{source, weights, target};
        if (algorithm->form.fused && epilogue.bias) all.push_back(const_cast<float*>(at.bias));
        if (algorithm->form.fused && epilogue.residual) {
            const int64_t planned = epilogue.residual_pitch > 0 ? epilogue.residual_pitch : problem.target.pitch;
            if (at.residual->pitch != planned) throw std::logic_error("a residual of another pitch than was planned");
            all.push_back(at.residual->data);
        }
        return all;
    }
};

Convolution::Convolution(const ConvProblem& problem, ConvPass pass, const Epilogue& epilogue) {
    const Entered entered;
    made_.reset(new Made(problem, pass, epilogue));
}
Convolution::~Convolution() = default;
Convolution::Convolution(Convolution&&) noexcept = default;
Convolution& Convolution::operator=(Convolution&&) noexcept = default;

bool Convolution::fuses() const {
    return made_->algorithm->form.fused;
}

size_t Convolution::workspace_bytes() const {
    return made_->bytes;
}

std::string Convolution::implementation() const {
    return made_->algorithm->name + (made_->narrow_weights() ? ", rounded once more" : "");
}

void Convolution::run(const ConvOperands& operands, void* workspace, Stream stream) const {
    const Entered entered;
    made_->run(operands, workspace, stream);
}

}  // namespace yolo::cuda
