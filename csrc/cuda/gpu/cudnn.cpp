#include "cuda/gpu/cudnn.h"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <mutex>

namespace yolo::cuda::cudnn {
namespace {

constexpr char kName[] = "libcudnn.so.9";

constexpr size_t kOldest = 90800;  // since when devices can be described

struct Loaded {
    std::mutex mutex;
    std::atomic<Library*> library{nullptr};  // kept until the process ends, as cuDNN's own threads may be
};

Loaded& loaded() {
    static auto* const one = new Loaded;
    return *one;
}

// In one line, and not too long a one.
std::string tidy(std::string text) {
    constexpr size_t kMost = 300;
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text.substr(0, kMost);
}

}  // namespace

const Library& Library::load(const std::string& folder, const std::string& device) {
    const std::lock_guard<std::mutex> lock(loaded().mutex);
    if (loaded().library == nullptr) {
        std::unique_ptr<Library> made(new Library(folder));
        loaded().library = made.get();  // which descriptors ask for
        try {
            made->start(device);
        } catch (...) {
            loaded().library = nullptr;
            throw;
        }
        made.release();
    }
    return *loaded().library;
}

const Library& Library::get() {
    return *loaded().library;
}

template <class Function>
void Library::find(Function& function, const char* name) const {
    function = reinterpret_cast<Function>(dlsym(library_, name));
    if (function == nullptr) throw DeviceError(std::string("cuDNN: ") + kName + " has no " + name);
}

Library::Library(const std::string& folder) {
    const std::string path = folder.empty() ? kName : folder + "/" + kName;
    // LOCAL: OneFlow has a cuDNN of its own in the process.
    library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) throw DeviceError(tidy(std::string("cuDNN 9 is not there: ") + dlerror()));
    find(version_, "cudnnGetVersion");
    find(error_string_, "cudnnGetErrorString");
    find(last_error_, "cudnnGetLastErrorString");
    find(create_, "cudnnCreate");
    find(set_stream_, "cudnnSetStream");
    find(create_descriptor_, "cudnnBackendCreateDescriptor");
    find(destroy_descriptor_, "cudnnBackendDestroyDescriptor");
    find(finalise_, "cudnnBackendFinalize");
    find(set_, "cudnnBackendSetAttribute");
    find(get_, "cudnnBackendGetAttribute");
    find(execute_, "cudnnBackendExecute");
    if (version() < kOldest) {
        throw DeviceError("cuDNN " + std::to_string(version()) + " is too old: " + std::to_string(kOldest) + " is needed");
    }
}

void Library::start(const std::string& device) {
    if (device.empty()) {
        const int status = create_(&handle_);
        if (status != 0) throw DeviceError(std::string("cuDNN does not start: ") + error_string_(status));
        return;
    }
    auto described = std::make_unique<Descriptor>(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    described->set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, static_cast<int64_t>(device.size()),
                   device.data());
    described->finish();
    described_ = std::move(described);
}

void Library::check(int status, const char* trying) const {
    if (status == 0) return;
    char why[512] = "";
    last_error_(why, sizeof why);
    throw Refusal(tidy(std::string("cuDNN: ") + trying + ": " + error_string_(status) + ": " + why));
}

void Library::execute(void* plan, void* variant_pack, Stream stream) const {
    static auto* const mutex = new std::mutex;  // the handle has one stream at a time
    const std::lock_guard<std::mutex> lock(*mutex);
    check(set_stream_(handle_, stream), "taking a stream");
    check(execute_(handle_, plan, variant_pack), "starting a convolution");
}

Library::~Library() = default;

Descriptor::Descriptor(DescriptorType type) {
    Library::get().check(Library::get().create_descriptor_(type, &raw_), "making a descriptor");
}

Descriptor::~Descriptor() {
    if (raw_ != nullptr) Library::get().destroy_descriptor_(raw_);
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
}

Descriptor& Descriptor::set(Attribute name, AttributeType type, int64_t count, const void* values) {
    Library::get().check(Library::get().set_(raw_, name, type, count, values), "setting an attribute");
    return *this;
}

Descriptor& Descriptor::set(Attribute name, const std::vector<int64_t>& values) {
    return set(name, CUDNN_TYPE_INT64, static_cast<int64_t>(values.size()), values.data());
}

Descriptor& Descriptor::set(Attribute name, const Descriptor& other) {
    void* const raw = other.raw();
    return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &raw);
}

Descriptor& Descriptor::finish() {
    Library::get().check(Library::get().finalise_(raw_), "finishing a descriptor");
    return *this;
}

int64_t Descriptor::read(Attribute name, AttributeType type, int64_t most, void* values) const {
    int64_t count = 0;
    Library::get().check(Library::get().get_(raw_, name, type, most, &count, values), "reading an attribute");
    return count;
}

int64_t Descriptor::count(Attribute name, AttributeType type) const {
    return read(name, type, 0, nullptr);
}

int64_t Descriptor::number(Attribute name) const {
    int64_t value = 0;
    read(name, CUDNN_TYPE_INT64, 1, &value);
    return value;
}

}  // namespace yolo::cuda::cudnn
