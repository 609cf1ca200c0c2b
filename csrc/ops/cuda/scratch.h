// How an operator deals out the scratch memory that its caller gives it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace yolo::ops::cuda {

class Scratch {
  public:
    // Without a memory it only counts.
    explicit Scratch(std::byte* memory) : memory_(memory) {}
    // Room for `count` numbers, aligned to 256 bytes.
    template <class T>
    T* take(int64_t count) {
        constexpr size_t kAlignment = 256;
        const size_t start = used_;
        used_ += (static_cast<size_t>(count) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
        return memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + start);
    }
    // Bytes of all that was taken.
    size_t used() const { return used_; }

  private:
    std::byte* memory_;
    size_t used_ = 0;
};

}  // namespace yolo::ops::cuda
