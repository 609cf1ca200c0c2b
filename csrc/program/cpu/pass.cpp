#include "program/cpu/pass.h"

namespace yolo::program {

using dnnl::memory;

memory::data_type type_of(const TensorView& view) {
    return view.element == 4 ? memory::data_type::f32 : view.element == 2 ? memory::data_type::bf16 : memory::data_type::u8;
}

memory::desc desc_of(const ExecContext& context, const TensorView& view) {
    const memory::format_tag tags[] = {blocked_tag(), memory::format_tag::nchw, memory::format_tag::nhwc};
    return {{context.batch, view.channels, view.height, view.width}, type_of(view), tags[static_cast<size_t>(view.layout)]};
}

memory memory_of(const ExecContext& context, const TensorView& view) {
    return {desc_of(context, view), engine(), context.at(view)};
}

dnnl::primitive_attr user_scratchpad() {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return attributes;
}

void Pass::route(const ExecContext& context, Workspace::Frame& frame, int argument, const TensorView& view,
                 const memory::desc& wanted, bool read) {
    const memory own = memory_of(context, view);
    if (wanted == own.get_desc()) {
        arguments[argument] = own;
        return;
    }
    const memory other = frame.take(wanted);
    arguments[argument] = other;
    if (read) {
        before.push_back({dnnl::reorder(own, other), own, other});
    } else {
        after.push_back({dnnl::reorder(other, own), other, own});
    }
}

void Pass::operator()() const {
    const auto run = [](const std::vector<Move>& moves) {
        for (const Move& move : moves) {
            memory from = move.from, to = move.to;
            move.reorder.execute(stream(), from, to);
        }
    };
    run(before);
    primitive.execute(stream(), arguments);
    run(after);
}

}  // namespace yolo::program
