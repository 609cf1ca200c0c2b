#include "cuda/gpu/nccl.h"

#include <dlfcn.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

#include "cuda/gpu/current.h"
#include "cuda/group.h"

namespace yolo::cuda {
namespace nccl {
namespace {

constexpr char kName[] = "libnccl.so.2";
constexpr int kOldest = 21304;  // 2.13.4: since when sums may be recorded and given one by one in turn

}  // namespace

template <class Function>
void Library::find(void* library, Function& function, const char* name) const {
    function = reinterpret_cast<Function>(dlsym(library, name));
    if (function == nullptr) throw DeviceError(std::string("NCCL is too old: ") + kName + " has no " + name);
}

Library::Library(const std::string& folder) {
    const std::string path = folder.empty() ? kName : folder + "/" + kName;
    // LOCAL: OneFlow has an NCCL of its own in the process.
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw DeviceError(std::string("NCCL is not there: ") + dlerror());
    find(library, version, "ncclGetVersion");
    find(library, error_string, "ncclGetErrorString");
    find(library, last_error, "ncclGetLastError");
    find(library, unique_id, "ncclGetUniqueId");
    find(library, init, "ncclCommInitRank");
    find(library, all_reduce, "ncclAllReduce");
    find(library, async_error, "ncclCommGetAsyncError");
    find(library, destroy, "ncclCommDestroy");
    find(library, abort, "ncclCommAbort");
    int found = 0;
    check(version(&found), "asking for its version");
    if (found < kOldest) {
        throw DeviceError("NCCL is too old: " + std::to_string(found) + ", and " + std::to_string(kOldest) +
                          " is needed");
    }
}

void Library::check(int result, const char* trying) const {
    if (result == ncclSuccess) return;
    std::string why = last_error(nullptr);
    std::replace(why.begin(), why.end(), '\n', ' ');
    throw DeviceError(std::string("NCCL: ") + trying + ": " + error_string(result) + ": " + why);
}

}  // namespace nccl

namespace {

constexpr size_t kLongestNote = 4096;
constexpr char kReady = '+', kRefused = '-';  // how a rank's message to the others begins

class NcclGroup : public Group {
public:
    NcclGroup(const nccl::Library& library, const nccl::UniqueId& id, int rank, int ranks)
        : library_(library), ranks_(ranks) {
        const Entered entered;
        library_.check(library_.init(&communicator_, ranks, id, rank), "connecting the ranks' GPUs");
    }
    // Destroying waits for the other ranks; after an error there may be none.
    ~NcclGroup() override {
        if (complete_ && !failed()) library_.destroy(communicator_);
        else library_.abort(communicator_);
    }
    // All ranks are connected.
    void complete() { complete_ = true; }

    int ranks() const override { return ranks_; }
    void sum(float* data, int64_t count, Stream stream) override { add(data, count, nccl::ncclFloat32, stream); }
    void sum(double* data, int64_t count, Stream stream) override { add(data, count, nccl::ncclFloat64, stream); }
    bool recordable() const override { return true; }

private:
    bool failed() const {
        int result = nccl::ncclSuccess;
        return library_.async_error(communicator_, &result) != nccl::ncclSuccess || result != nccl::ncclSuccess;
    }
    void add(void* data, int64_t count, nccl::DataType type, Stream stream) const {
        int earlier = nccl::ncclSuccess;
        library_.check(library_.async_error(communicator_, &earlier), "asking how it is");
        library_.check(earlier, "adding up over ranks");
        const Entered entered;
        library_.check(library_.all_reduce(data, data, static_cast<size_t>(count), type, nccl::ncclSum, communicator_,
                                           stream),
                       "adding up over ranks");
    }

    const nccl::Library library_;
    const int ranks_;
    nccl::Communicator* communicator_ = nullptr;
    bool complete_ = false;
};

// Does a rank's part and gives what rank 0's gave. Where one rank's fails, all raise that rank's error.
std::string together(net::Exchange& exchange, const std::function<std::string()>& part) {
    std::string own;
    try {
        own = kReady + part();
    } catch (const DeviceError& error) {
        own = (kRefused + std::string(error.what())).substr(0, kLongestNote);
    }
    const std::vector<std::string> told = exchange.tell(own, kLongestNote);
    for (size_t rank = 0; rank < told.size(); ++rank) {
        const std::string& text = told[rank];
        if (text.empty() || text[0] != kReady) {
            throw DeviceError("rank " + std::to_string(rank) + ": " + text.substr(text.empty() ? 0 : 1));
        }
    }
    return told[0].substr(1);
}

// The number by which the ranks find each other.
std::string new_id(const nccl::Library& library) {
    nccl::UniqueId id{};
    const Entered entered;
    library.check(library.unique_id(&id), "beginning");
    return {id.internal, sizeof id.internal};
}

}  // namespace

std::shared_ptr<Group> nccl_group(net::Exchange& exchange, const std::string& folder) {
    std::optional<nccl::Library> library;
    const std::string number = together(exchange, [&] {
        library.emplace(folder);
        return exchange.rank() == 0 ? new_id(*library) : "";
    });
    std::shared_ptr<NcclGroup> group;
    together(exchange, [&] {
        nccl::UniqueId id{};
        std::copy_n(number.begin(), std::min(number.size(), sizeof id.internal), id.internal);
        group = std::make_shared<NcclGroup>(*library, id, exchange.rank(), exchange.ranks());
        return std::string();
    });
    group->complete();
    return group;
}

}  // namespace yolo::cuda
