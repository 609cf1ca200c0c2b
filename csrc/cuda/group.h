// Ranks that work together, a process and a device each, add up arrays of their devices.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cuda/device.h"
#include "net/exchange.h"

namespace yolo::cuda {

// Every rank makes the same calls in the same order. What ends a run when a rank is lost is the Watch's business: a sum
// may wait for it until then.
class Group {
public:
    virtual ~Group() = default;
    virtual int ranks() const = 0;
    // Replace numbers on the device by their sums over ranks, which are the same bits on all of them. Raise
    // std::runtime_error where a rank is known to be lost.
    virtual void sum(float* data, int64_t count, Stream stream) = 0;
    virtual void sum(double* data, int64_t count, Stream stream) = 0;
    // Whether a sum gives its work to the stream and does not wait, so that it can be recorded.
    virtual bool recordable() const = 0;
};

// By way of the host's memory and the ranks' sockets: on any device.
std::shared_ptr<Group> exchange_group(std::shared_ptr<net::Exchange> exchange);

// By NCCL, from one GPU to the other; the exchange is needed only here. library: the folder of libnccl.so.2; "": the
// loader knows. All ranks raise the same DeviceError where one of them has none or cannot be reached, and where the device
// is no GPU.
std::shared_ptr<Group> nccl_group(net::Exchange& exchange, const std::string& library);

}  // namespace yolo::cuda
