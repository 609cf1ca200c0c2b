// Memory of a program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

#ifdef YOLO_GUARDED
#include "program/common/guarded.h"
#endif

namespace yolo::program {

// Zeroed memory on a page boundary (for tests: up against the end of one).
class Buffer {
public:
#ifdef YOLO_GUARDED
    explicit Buffer(size_t bytes) : bytes_((bytes + 63) / 64 * 64) {
        if (bytes_ == 0) return;
        Unmap release;
        std::byte* data = guarded(bytes_, release);
        data_ = {data, release};
    }
#else
    explicit Buffer(size_t bytes) : bytes_((bytes + kPage - 1) / kPage * kPage) {
        if (bytes_ == 0) return;
        const size_t page = bytes_ < kHugePage ? kPage : kHugePage;
        data_.reset(static_cast<std::byte*>(std::aligned_alloc(page, bytes_)));
        if (!data_) throw std::bad_alloc();
#ifdef __linux__
        // A kernel that gives huge pages on request alone gives them here: rows of maps and of weights lie further apart than
        // a processor's table of small pages reaches. Where it has none, nothing is lost.
        if (page == kHugePage) madvise(data_.get(), bytes_, MADV_HUGEPAGE);
#endif
        std::memset(data_.get(), 0, bytes_);
    }
#endif
    std::byte* data() const { return data_.get(); }
    size_t bytes() const { return bytes_; }

private:
    static constexpr size_t kPage = 4096, kHugePage = 2 << 20;
    struct Free {
        void operator()(std::byte* data) const { std::free(data); }
    };
    size_t bytes_;
#ifdef YOLO_GUARDED
    std::unique_ptr<std::byte, Unmap> data_;
#else
    std::unique_ptr<std::byte, Free> data_;
#endif
};

}  // namespace yolo::program
