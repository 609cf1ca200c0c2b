#include "program/cpu/int8_finish.h"

#include <algorithm>

#include "program/cpu/activation.h"

namespace yolo::program {

Int8Finish::Int8Finish(BuildContext& context, const Step& step, float times)
    : target_(step.view("target")), lanes_(context.block) {
    scale_ = filled_up(context, step, ".scale");
    for (float& one : scale_) one *= Scale(step, "source").step / times;
    shift_ = step.flag("bias") ? filled_up(context, step, ".bias") : std::vector<float>(scale_.size());
    offset_.resize(scale_.size());
    made_.activation = activation_of(step);
    made_.residual_stride = target_.channels;
    if (const TensorView* residual = step.optional("residual")) {
        const Scale scale(step, "residual");
        residual_ = *residual;
        made_.residual_step = scale.step, made_.residual_zero = static_cast<float>(scale.zero);
    }
    if (target_.element == 1) {
        const Scale scale(step, "target");
        made_.steps = 1.0f / scale.step, made_.zero = static_cast<float>(scale.zero);
        made_.stride = target_.channels, made_.block_stride = lanes_;
    } else {
        made_.stride = lanes_, made_.block_stride = target_.pixels() * lanes_;
    }
}

std::vector<float> Int8Finish::filled_up(BuildContext& context, const Step& step, const std::string& part) const {
    const dnnl::memory found = context.constant(step.where, step.text("weights") + part, floats_desc(target_.channels));
    const auto* const values = static_cast<const float*>(found.get_data_handle());
    std::vector<float> all(static_cast<size_t>(context.blocks(target_) * lanes_));
    std::copy(values, values + target_.channels, all.begin());
    return all;
}

void Int8Finish::take_off(const int32_t* sums, int32_t zero) {
    for (size_t i = 0; i < offset_.size(); ++i) offset_[i] = -zero * sums[i];
}

ByteFinish Int8Finish::at(const ExecContext& exec, int64_t image, int64_t output, int64_t block) const {
    ByteFinish made = made_;
    const int64_t channel = block * lanes_;
    std::byte* const target = exec.arena + target_.offset + image * target_.image_bytes();
    const int64_t place = output * made.stride + block * made.block_stride;
    made.scale = scale_.data() + channel, made.shift = shift_.data() + channel, made.offset = offset_.data() + channel;
    if (residual_) {
        const auto* const more = reinterpret_cast<const uint8_t*>(exec.at(*residual_, image));
        made.residual = more + output * made.residual_stride + channel;
    }
    if (target_.element == 1) {
        made.bytes = reinterpret_cast<uint8_t*>(target) + place;
    } else {
        made.floats = reinterpret_cast<float*>(target) + place;
    }
    return made;
}

}  // namespace yolo::program
