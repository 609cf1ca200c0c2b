// 1x1 convolutions of inference in float32: one product with its end in the same pass over the map.
#include "program/cpu/matmul.h"

#include <memory>
#include <optional>
#include <string>

#include "parallel/team.h"
#include "program/cpu/activation.h"
#include "program/cpu/convolution.h"
#include "program/cpu/pass.h"

namespace yolo::program {
namespace {

class MatmulConv {
public:
    MatmulConv(BuildContext& context, const Step& step)
        : exec_(context),
          source_(step.view("source")),
          target_(step.view("target")),
          activation_(activation_of(step)),
          weights_(context.transformed(step.where, step.text("weights") + ".weight", ConvShape(step).weights,
                                       ConvForm::matmul)),
          sides_{target_.pixels(), source_.channels, target_.channels} {
        if (const TensorView* residual = step.optional("residual")) residual_ = *residual;
        if (step.flag("bias")) {
            const std::string name = step.text("weights") + ".bias";
            bias_ = context.constant(step.where, name, floats_desc(target_.channels));
        }
    }

    void operator()() const {
        for (int64_t image = 0; image < exec_.batch; ++image) {
            parallel::share(exec_.threads, target_.pixels(), [&](int, int64_t begin, int64_t end) {
                run(image, begin, end);
            });
        }
    }

    StepInfo info(const Step& step) const {
        const int64_t maps = (source_.channels + target_.channels) * target_.pixels() * 4;
        return {"conv", step.where, std::string("matmul:") + kernels().name, ConvShape(step).flops(source_, target_),
                maps + static_cast<int64_t>(weights_->bytes())};
    }

private:
    void run(int64_t image, int64_t begin, int64_t end) const {
        const auto numbers = [&](const TensorView& view) { return reinterpret_cast<float*>(exec_.at(view, image)); };
        const auto* const weights = reinterpret_cast<const float*>(weights_->data());
        const auto* const bias = bias_ ? static_cast<const float*>(bias_->get_data_handle()) : nullptr;
        kernels().matmul(numbers(source_), weights, bias, sides_, activation_,
                         residual_ ? numbers(*residual_) : nullptr, numbers(target_), begin, end);
    }

    ExecContext exec_;
    TensorView source_, target_;
    std::optional<TensorView> residual_;
    Activation activation_;
    std::shared_ptr<const Buffer> weights_;
    Matmul sides_;
    std::optional<dnnl::memory> bias_;
};

}  // namespace

std::vector<CompiledStep> build_matmul_conv(BuildContext& context, const Step& step) {
    const auto made = std::make_shared<const MatmulConv>(context, step);
    return {{made->info(step), [made](const Run&) { (*made)(); }}};
}

}  // namespace yolo::program
