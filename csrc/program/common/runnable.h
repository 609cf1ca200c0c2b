// What a graph's operator calls: something that runs on buffers.
#pragma once

namespace yolo::program {

// `inputs` and `outputs` are the buffers' addresses in the order that the maker of the operator declared. Inputs that
// were declared mutable are written through a const_cast. This interface is all that the OneFlow plug-in and the
// programs share, so that neither needs the other's headers or C++ library settings.
class Runnable {
public:
    virtual ~Runnable() = default;
    virtual void run(const void* const* inputs, void* const* outputs) = 0;
};

}  // namespace yolo::program
