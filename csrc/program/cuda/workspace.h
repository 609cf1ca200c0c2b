// Device memory that steps use while they run and no longer: all steps share it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>

namespace yolo::program::cuda {

class Workspace {
public:
    // A place in the workspace, whose address is known once place() was called.
    class Piece {
    public:
        Piece(std::shared_ptr<std::byte*> base, size_t offset) : base_(std::move(base)), offset_(offset) {}
        template <class Type>
        Type* as() const {
            return reinterpret_cast<Type*>(*base_ + offset_);
        }

    private:
        std::shared_ptr<std::byte*> base_;
        size_t offset_;
    };

    // One step's part of the workspace; its pieces do not overlap.
    class Frame {
    public:
        explicit Frame(Workspace& whole) : whole_(whole) {}
        Piece take(size_t bytes) {
            const Piece piece(whole_.base_, used_);
            used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
            whole_.bytes_ = std::max(whole_.bytes_, used_);
            return piece;
        }

    private:
        Workspace& whole_;
        size_t used_ = 0;
    };

    size_t bytes() const { return bytes_; }
    // Takes memory of at least bytes().
    void place(std::byte* memory) { *base_ = memory; }

private:
    static constexpr size_t kAlignment = 256;
    std::shared_ptr<std::byte*> base_ = std::make_shared<std::byte*>(nullptr);
    size_t bytes_ = 0;
};

}  // namespace yolo::program::cuda
