#include "program/training/convolution.h"

#include <numeric>
#include <stdexcept>
#include <unordered_map>

#include "parallel/team.h"

namespace yolo::program::training {

using dnnl::memory;
using Tag = memory::format_tag;
using Type = memory::data_type;

namespace {

Type type_of(const Slice& slice) {
    return slice.wide() ? Type::f32 : Type::bf16;
}

dnnl::primitive_attr attributes() {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return attr;
}

// Adds rows that lie one after the other to where they belong in the gradient.
void add_rows(const float* from, const std::vector<Rows>& rows, float* gradient, int threads) {
    for (const Rows& row : rows) {
        parallel::share(threads, row.count, [&](int, int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) gradient[row.offset + i] += from[i];
        });
        from += row.count;
    }
}

bool is_reference(const std::string& implementation) {
    return implementation.find("ref") != std::string::npos;
}

dnnl::stream& stream() {
    static thread_local dnnl::stream own(engine());
    return own;
}

}  // namespace

// A primitive with its arguments and the changes of layout around it.
struct Convolution::Pass {
    struct Move {
        dnnl::reorder reorder;
        memory from, to;
    };
    dnnl::primitive primitive;
    std::unordered_map<int, memory> arguments;
    std::vector<Move> before, after;

    void run(const std::vector<Move>& moves) const {
        for (const Move& move : moves) {
            memory from = move.from, to = move.to;
            move.reorder.execute(stream(), from, to);
        }
    }
    void operator()() const {
        run(before);
        primitive.execute(stream(), arguments);
        run(after);
    }
};

Convolution::Convolution(ConvolutionSpec spec, int64_t batch, int threads, std::byte* arena, Workspace& workspace)
    : spec_(std::move(spec)), batch_(batch), threads_(threads), arena_(arena), workspace_(workspace) {
    for (int64_t& dilation : spec_.dilation) --dilation;  // oneDNN counts the gaps
}

memory::desc Convolution::map(const Slice& slice, bool any) const {
    const Tag tag = any ? Tag::any : slice.plain ? Tag::nchw : blocked_tag();
    return {{batch_, slice.channels, slice.height, slice.width}, type_of(slice), tag};
}

memory::desc Convolution::any_weights(Type type) const {
    return {plain_weights().get_dims(), type, Tag::any};
}

memory::desc Convolution::plain_weights() const {
    const int64_t g = spec_.groups, kh = spec_.kernel[0], kw = spec_.kernel[1];
    const int64_t out = spec_.transposed ? spec_.source.channels : spec_.target.channels;
    const int64_t in = spec_.transposed ? spec_.target.channels : spec_.source.channels;
    if (g == 1) return {{out, in, kh, kw}, Type::f32, Tag::oihw};
    return {{g, out / g, in / g, kh, kw}, Type::f32, Tag::goihw};
}

dnnl::convolution_forward::primitive_desc Convolution::describe(const memory::desc& source,
                                                                const memory::desc& target) const {
    const memory::desc bias =
        spec_.bias < 0 ? memory::desc() : memory::desc({spec_.target.channels}, Type::f32, Tag::x);
    // A float32 target of bfloat16 products is a head's; its gradient is bfloat16 again.
    return {engine(), dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, source,
            any_weights(source.get_data_type()), bias, target, spec_.stride, spec_.dilation, spec_.padding,
            spec_.padding, attributes()};
}

// The layout that the buffers have, else any: some groups and channel counts have a fast kernel in another one only.
template <class Describe>
auto Convolution::choose(const Slice& source, const Slice& target, const Describe& make, const std::string& what) {
    using Description = decltype(make(memory::desc(), memory::desc()));
    try {
        Description direct = make(map(source, false), map(target, false));
        if (!is_reference(direct.impl_info_str())) return direct;
    } catch (const dnnl::error&) {
        // No kernel at all for this layout.
    }
    const Tag tags[] = {Tag::any, Tag::nchw};
    std::optional<Description> last;
    for (const Tag tag : tags) {
        auto in = [&](const Slice& slice) {
            return memory::desc({batch_, slice.channels, slice.height, slice.width}, type_of(slice), tag);
        };
        try {
            last = make(in(source), in(target));
        } catch (const dnnl::error&) {
            continue;
        }
        if (!is_reference(last->impl_info_str())) break;
    }
    if (!last) throw std::invalid_argument(spec_.where + ": oneDNN has no " + what + " for this convolution");
    note(last->impl_info_str(), what);
    return *last;
}

void Convolution::note(const std::string& implementation, const std::string& what) {
    const std::string slow = is_reference(implementation) ? "only oneDNN's reference kernel" : "a change of layout";
    notes_.push_back(spec_.where + ": " + what + " takes " + slow + " (" + implementation + ")");
}

// Makes `slice` the argument, through a copy in the workspace where the primitive wants another layout.
void Convolution::route(Pass& pass, Workspace::Frame& frame, int argument, const Slice& slice,
                        const memory::desc& wanted, bool read) {
    const memory own(map(slice, false), engine(), arena_ + slice.offset);
    if (wanted == own.get_desc()) {
        pass.arguments[argument] = own;
        return;
    }
    const memory other = frame.take(wanted);
    pass.arguments[argument] = other;
    if (read) {
        pass.before.push_back({dnnl::reorder(own, other), own, other});
    } else {
        pass.after.push_back({dnnl::reorder(other, own), other, own});
    }
}

// Weights in one piece: where they lie, or copied together.
const float* Convolution::packed_rows(const float* values, const memory& staging) const {
    if (spec_.weights.size() == 1) return values + spec_.weights[0].offset;
    float* to = static_cast<float*>(staging.get_data_handle());
    for (const Rows& rows : spec_.weights) {
        std::copy_n(values + rows.offset, rows.count, to);
        to += rows.count;
    }
    return static_cast<const float*>(staging.get_data_handle());
}

double Convolution::flops() const {
    const Slice& small = spec_.transposed ? spec_.source : spec_.target;
    const int64_t weights = std::accumulate(spec_.weights.begin(), spec_.weights.end(), int64_t{0},
                                            [](int64_t sum, const Rows& rows) { return sum + rows.count; });
    return 2.0 * static_cast<double>(weights) * static_cast<double>(batch_ * small.pixels());
}

StepInfo Convolution::info(const std::string& kind, const std::string& implementation) const {
    StepInfo info{spec_.where, kind, implementation, flops()};
    info.bytes = batch_ * (spec_.source.picture() + spec_.target.picture()) +
                 static_cast<int64_t>(plain_weights().get_size());
    return info;
}

// oneDNN's forward, or its backward-data where `data`, between these maps.
Convolution::Kernel Convolution::kernel(bool data, const Slice& from, const Slice& to, const std::string& kind) {
    if (data) {
        const auto pd = choose(to, from, [&](const memory::desc& source, const memory::desc& target) {
            return dnnl::convolution_backward_data::primitive_desc(
                engine(), dnnl::algorithm::convolution_direct, source, any_weights(source.get_data_type()), target,
                spec_.stride, spec_.dilation, spec_.padding, spec_.padding, describe(source, target), attributes());
        }, kind);
        return {dnnl::convolution_backward_data(pd), pd.diff_dst_desc(),   pd.diff_src_desc(),
                pd.weights_desc(),                   pd.scratchpad_desc(), pd.impl_info_str()};
    }
    const auto pd = choose(from, to, [&](const memory::desc& source, const memory::desc& target) {
        return describe(source, target);
    }, kind);
    return {dnnl::convolution_forward(pd), pd.src_desc(),        pd.dst_desc(),
            pd.weights_desc(),             pd.scratchpad_desc(), pd.impl_info_str()};
}

// The two passes that read weights: `data` says whether it is oneDNN's backward-data.
Step Convolution::from_weights(bool data, const Slice& from, const Slice& to, const std::string& kind) {
    const Kernel chosen = kernel(data, from, to, kind);
    auto pass = std::make_shared<Pass>();
    Workspace::Frame frame(workspace_);
    pass->primitive = chosen.primitive;
    route(*pass, frame, data ? DNNL_ARG_DIFF_DST : DNNL_ARG_SRC, from, chosen.from, true);
    route(*pass, frame, data ? DNNL_ARG_DIFF_SRC : DNNL_ARG_DST, to, chosen.to, false);
    pass->arguments[DNNL_ARG_SCRATCHPAD] = frame.take(chosen.scratch);
    const memory weights = pass->arguments[DNNL_ARG_WEIGHTS] = frame.take(chosen.weights);
    memory plain(plain_weights(), engine(), DNNL_MEMORY_NONE);
    const memory staging = spec_.weights.size() > 1 ? frame.take(plain_weights()) : plain;
    const dnnl::reorder pack(plain, weights);
    const bool biased = !data && spec_.bias >= 0;
    if (biased) {
        pass->arguments[DNNL_ARG_BIAS] =
            memory({{spec_.target.channels}, Type::f32, Tag::x}, engine(), DNNL_MEMORY_NONE);
    }
    return {info(kind, chosen.implementation), [=](const Run& run) mutable {
                plain.set_data_handle(const_cast<float*>(packed_rows(run.values, staging)));
                pack.execute(stream(), plain, const_cast<memory&>(weights));
                if (biased) pass->arguments[DNNL_ARG_BIAS].set_data_handle(run.values + spec_.bias);
                (*pass)();
            }};
}

Step Convolution::forward() {
    return from_weights(spec_.transposed, spec_.source, spec_.target, "conv");
}

Step Convolution::backward_data(const Slice& gradient, const Slice& source_gradient) {
    return from_weights(!spec_.transposed, gradient, source_gradient, "conv_data");
}

Step Convolution::backward_weights(const Slice& gradient, const Slice& values) {
    const Slice& source = spec_.transposed ? gradient : values;
    const Slice& target = spec_.transposed ? values : gradient;
    const memory::desc bias_desc({spec_.target.channels}, Type::f32, Tag::x);
    const auto pd = choose(source, target, [&](const memory::desc& from, const memory::desc& to) {
        return dnnl::convolution_backward_weights::primitive_desc(
            engine(), dnnl::algorithm::convolution_direct, from, any_weights(Type::f32),
            spec_.bias < 0 ? memory::desc() : bias_desc, to, spec_.stride, spec_.dilation, spec_.padding,
            spec_.padding, describe(from, to), attributes());
    }, "conv_weights");
    auto pass = std::make_shared<Pass>();
    Workspace::Frame frame(workspace_);
    pass->primitive = dnnl::convolution_backward_weights(pd);
    route(*pass, frame, DNNL_ARG_SRC, source, pd.src_desc(), true);
    route(*pass, frame, DNNL_ARG_DIFF_DST, target, pd.diff_dst_desc(), true);
    pass->arguments[DNNL_ARG_SCRATCHPAD] = frame.take(pd.scratchpad_desc());
    const memory weights = pass->arguments[DNNL_ARG_DIFF_WEIGHTS] = frame.take(pd.diff_weights_desc());
    memory bias;
    if (spec_.bias >= 0) bias = pass->arguments[DNNL_ARG_DIFF_BIAS] = frame.take(bias_desc);
    // oneDNN's reorder can add as well, but is 40 times slower then.
    memory plain = frame.take(plain_weights());
    const dnnl::reorder unpack(weights, plain);
    return {info("conv_weights", pd.impl_info_str()), [=](const Run& run) mutable {
                (*pass)();
                unpack.execute(stream(), const_cast<memory&>(weights), plain);
                add_rows(static_cast<const float*>(plain.get_data_handle()), spec_.weights, run.gradient, threads_);
                if (spec_.bias < 0) return;
                const float* from = static_cast<const float*>(bias.get_data_handle());
                for (int64_t c = 0; c < spec_.target.channels; ++c) run.gradient[spec_.bias + c] += from[c];
            }};
}

}  // namespace yolo::program::training
