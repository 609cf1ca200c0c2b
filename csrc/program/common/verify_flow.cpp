#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "program/common/kinds.h"

namespace yolo::program {
namespace {

// Of a buffer in the arena, who has written each of its channel blocks; null: nobody, or something else lies there now.
struct Written {
    int64_t begin, end;  // bytes
    std::vector<const Step*> writers;
};

class Flow {
public:
    explicit Flow(const Plan& plan) : plan_(plan) {}

    void read(const Step& step, const char* role, const TensorView& view) const {
        const auto found = buffers_.find(key(view));
        for (int64_t block = first(view); block < last(view); ++block) {
            const Step* writer = found == buffers_.end() ? nullptr : found->second.writers[static_cast<size_t>(block)];
            require(writer != nullptr, step, "reads a map that nothing has written, or that is written over by then");
            if (std::string(role) == "index") require_same_pool(step, view, *writer);
        }
    }

    // A scatter that clears nothing leaves of `fine` what it does not fill: that must be there.
    void read_rest(const Step& step) const {
        const TensorView &fine = step.view("fine"), &coarse = step.view("coarse");
        const Numbers& index = step.numbers("index");
        const int64_t stride = step.number("stride");
        const bool fills = fine.height == coarse.height * stride && fine.width == coarse.width * stride;
        std::map<int64_t, std::set<std::pair<int64_t, int64_t>>> cells;  // of each channel
        for (size_t i = 0; fills && i < index.size(); i += 3) {
            const int64_t dy = index[i + 1], dx = index[i + 2];
            if (dy >= 0 && dy < stride && dx >= 0 && dx < stride) cells[index[i]].insert({dy, dx});
        }
        for (int64_t channel = 0; channel < fine.channels; ++channel) {
            if (static_cast<int64_t>(cells[channel].size()) == stride * stride) continue;
            TensorView one = fine;
            one.first += channel / plan_.block * plan_.block, one.channels = 1;
            read(step, "fine", one);
        }
    }

    void write(const Step& step, const TensorView& view) {
        const Key own = key(view);
        const int64_t begin = view.offset, end = begin + plan_.batch() * view.image_bytes();
        for (auto other = buffers_.begin(); other != buffers_.end();) {
            const bool lost = other->first != own && other->second.begin < end && begin < other->second.end;
            other = lost ? buffers_.erase(other) : std::next(other);
        }
        Written& buffer = buffers_[own];
        buffer.begin = begin, buffer.end = end;
        buffer.writers.resize(static_cast<size_t>(blocks(view.buffer_channels)));
        for (int64_t block = first(view); block < last(view); ++block) buffer.writers[static_cast<size_t>(block)] = &step;
    }

private:
    using Key = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, Layout>;
    static Key key(const TensorView& view) {
        return {view.offset, view.buffer_channels, view.height, view.width, view.element, view.layout};
    }
    int64_t blocks(int64_t channels) const { return (channels + plan_.block - 1) / plan_.block; }
    int64_t first(const TensorView& view) const { return view.first / plan_.block; }
    int64_t last(const TensorView& view) const { return first(view) + blocks(view.channels); }

    // The places of maxima lead into the map only where they come from a pool of the same window.
    static void require_same_pool(const Step& step, const TensorView& view, const Step& writer) {
        const TensorView* const index = writer.kind == "resample" ? writer.optional("index") : nullptr;
        bool same = index != nullptr && key(*index) == key(view) && writer.text("method") == step.text("method");
        for (const char* name : {"kernel", "stride", "padding"}) {
            same = same && writer.number(name) == step.number(name);
        }
        require(same, step, "takes the places of another pool's maxima");
        require_same_size(step, writer.view("source"), step.view("source_gradient"));
    }

    const Plan& plan_;
    std::map<Key, Written> buffers_;
};

}  // namespace

void check_flow(const Plan& plan, const Kinds& kinds) {
    Flow flow(plan);
    for (const auto* steps : {&plan.forward, &plan.backward}) {
        for (const Step& step : *steps) {
            const Kind& kind = kinds.at(step.kind);
            if (step.kind == "scatter" && !step.flag("clear")) flow.read_rest(step);
            for (const Access access : {Access::read, Access::write}) {
                for (const Role& role : kind.roles) {
                    if (role.access != access) continue;
                    for (const TensorView& view : step.any(role.name)) {
                        access == Access::read ? flow.read(step, role.name, view) : flow.write(step, view);
                    }
                }
            }
        }
    }
}

}  // namespace yolo::program
