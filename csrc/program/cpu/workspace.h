// Memory that steps use while they run and no longer: all steps share it.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "program/common/buffer.h"
#include "program/cpu/onednn.h"

namespace yolo::program {

class Workspace {
public:
    // One step's part of the workspace; its pieces do not overlap.
    class Frame {
    public:
        explicit Frame(Workspace& whole) : whole_(whole) {}
        // Memory of this description, whose address comes with place(). Empty descriptions take no place.
        dnnl::memory take(const dnnl::memory::desc& desc) {
            dnnl::memory memory(desc, engine(), DNNL_MEMORY_NONE);
            const size_t bytes = (desc.get_size() + kAlignment - 1) / kAlignment * kAlignment;
            if (bytes != 0) whole_.pieces_.push_back({memory, used_});
            used_ += bytes;
            whole_.bytes_ = std::max(whole_.bytes_, used_);
            return memory;
        }
        // So many floats.
        dnnl::memory floats(int64_t count) {
            return take(floats_desc(count));
        }

    private:
        Workspace& whole_;
        size_t used_ = 0;
    };

    // Takes memory of at least bytes().
    void place(std::shared_ptr<Buffer> buffer) {
        buffer_ = std::move(buffer);
        for (Piece& piece : pieces_) piece.memory.set_data_handle(buffer_->data() + piece.offset);
    }
    size_t bytes() const { return bytes_; }

private:
    static constexpr size_t kAlignment = 4096;
    struct Piece {
        dnnl::memory memory;
        size_t offset;
    };
    std::vector<Piece> pieces_;
    size_t bytes_ = 0;
    std::shared_ptr<Buffer> buffer_;
};

}  // namespace yolo::program
