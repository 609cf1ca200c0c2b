// Stands in for NVIDIA's driver, libcuda.so.1, where there is none: what it says of itself comes from the environment,
// and all code that it is to load it takes, so that cuDNN compiles for a device that is described. Nothing runs on it.
#include <cstdlib>

namespace {
int number(const char* name, int otherwise) {
    const char* const text = std::getenv(name);
    return text ? std::atoi(text) : otherwise;
}
}  // namespace

#define TAKES_IT(name) \
    int name(void** made) { return *made = &number_of_something, 0; }
#define IS_FINE(name) \
    int name() { return 0; }
#define REFUSES(name) \
    int name() { return 801; }

extern "C" {
int number_of_something;
int cuInit(unsigned) { return number("DRIVER_STATUS", 0); }
int cuDriverGetVersion(int* version) { return *version = number("DRIVER_VERSION", 13000), 0; }
int cuGetProcAddress_v2(const char*, void** function, int, unsigned long long, int*);
TAKES_IT(cuModuleLoadData)
TAKES_IT(cuModuleGetFunction)
TAKES_IT(cuLibraryLoadData)
TAKES_IT(cuLibraryLoadFromFile)
TAKES_IT(cuLibraryGetKernel)
TAKES_IT(cuKernelGetFunction)
TAKES_IT(cuCtxGetCurrent)
TAKES_IT(cuCtxPopCurrent)
IS_FINE(cuModuleUnload)
IS_FINE(cuLibraryUnload)
IS_FINE(cuKernelSetAttribute)
IS_FINE(cuCtxPushCurrent)
int cuKernelGetAttribute(int* value) { return *value = 0, 0; }
int cuOccupancyMaxPotentialClusterSize(int* size) { return *size = 8, 0; }
REFUSES(cuGetErrorString)
REFUSES(cuGetErrorName)
REFUSES(cuCtxGetLimit)
REFUSES(cuStreamGetCtx)
REFUSES(cuLinkCreate)
REFUSES(cuLinkAddData)
REFUSES(cuLinkComplete)
REFUSES(cuLinkDestroy)
REFUSES(cuLaunchKernel)
REFUSES(cuLaunchKernelEx)
REFUSES(cuLaunchCooperativeKernel)
REFUSES(cuTensorMapEncodeIm2col)
REFUSES(cuTensorMapEncodeTiled)
REFUSES(cuGetExportTable)
}

// What the CUDA runtime asks for each function.
int cuGetProcAddress_v2(const char* name, void** function, int, unsigned long long, int*) {
    const auto is = [&](const char* other) {
        while (*other != '\0' && *name == *other) ++name, ++other;
        return *name == *other;
    };
    const char* const whole = name;
    if (is("cuInit")) return *function = reinterpret_cast<void*>(&cuInit), 0;
    name = whole;
    if (is("cuDriverGetVersion")) return *function = reinterpret_cast<void*>(&cuDriverGetVersion), 0;
    name = whole;
    if (is("cuGetProcAddress")) return *function = reinterpret_cast<void*>(&cuGetProcAddress_v2), 0;
    return *function = reinterpret_cast<void*>(&cuGetExportTable), 0;
}
