// NCCL's interface, as far as it is needed here, from a library that is loaded by name: OneFlow has an older one in the
// process. The numbers are those of nccl.h.
#pragma once

#include <cstddef>
#include <string>

#include "cuda/device.h"

namespace yolo::cuda::nccl {

constexpr int NCCL_UNIQUE_ID_BYTES = 128;

enum Result { ncclSuccess = 0 };
enum DataType { ncclFloat32 = 7, ncclFloat64 = 8 };
enum Operation { ncclSum = 0 };

struct UniqueId {
    char internal[NCCL_UNIQUE_ID_BYTES];
};
struct Communicator;

struct Library {
    // Raises DeviceError where it is not there or too old. folder: "" where the loader knows. It stays until the
    // process ends, as its threads may.
    explicit Library(const std::string& folder);
    // Raises DeviceError unless it went well: what was tried, and what NCCL says.
    void check(int result, const char* trying) const;

    int (*version)(int*);
    const char* (*error_string)(int);
    const char* (*last_error)(Communicator*);
    int (*unique_id)(UniqueId*);
    int (*init)(Communicator**, int ranks, UniqueId, int rank);
    int (*all_reduce)(const void* from, void* to, size_t count, int type, int operation, Communicator*, Stream);
    int (*async_error)(Communicator*, int*);
    int (*destroy)(Communicator*);
    int (*abort)(Communicator*);

private:
    template <class Function>
    void find(void* library, Function& function, const char* name) const;
};

}  // namespace yolo::cuda::nccl
