// A library that takes the place of one of CUDA's where there is no GPU: yolo/no_cuda.py loads it once for each, with
// that one's name for its own (CMakeLists.txt leaves room for it).
//
// OneFlow asks for versions when its first session begins, for its log; without a device it calls no other function.
#define YOLO_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

int no_version(int* number) {
    *number = 0;
    return 0;
}

}  // namespace

YOLO_EXPORT int cudnnGetProperty(int, int* number) { return no_version(number); }
YOLO_EXPORT int ncclGetVersion(int* number) { return no_version(number); }
