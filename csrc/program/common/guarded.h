// Memory for tests (YOLO_GUARDED): a byte that is read or written behind the last one, or before the first page, ends
// the process, whichever kernel does it. AddressSanitizer does not see the kernels that oneDNN makes while it runs.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>

namespace yolo::program {

struct Unmap {
    void* mapping = nullptr;
    size_t length = 0;
    void operator()(std::byte*) const { munmap(mapping, length); }
};

// Zeroed; `bytes` is a multiple of 64.
inline std::byte* guarded(size_t bytes, Unmap& release) {
    constexpr size_t kPage = 4096;
    const size_t inside = (bytes + kPage - 1) / kPage * kPage;
    void* mapping = mmap(nullptr, inside + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) throw std::bad_alloc();
    release = {mapping, inside + 2 * kPage};
    std::byte* first = static_cast<std::byte*>(mapping) + kPage;
    if (mprotect(first, inside, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    return first + (inside - bytes);
}

}  // namespace yolo::program
