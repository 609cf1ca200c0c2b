#include "render/jpeg_library.h"

#include <dlfcn.h>

#include <csetjmp>
#include <stdexcept>

namespace yolo::render {
namespace {

template <class Function>
void find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    if (function == nullptr) throw std::runtime_error(std::string("it has no ") + name);
}

// The library itself compares its version and the size of the struct with the caller's.
bool fits(const JpegLibrary& library) {
    jpeg_decompress_struct jpeg{};
    JpegErrors errors;
    jpeg.err = library.std_error(&errors.base);
    errors.base.error_exit = leave;
    if (setjmp(errors.out) != 0) return false;
    library.create(&jpeg, JPEG_LIB_VERSION, sizeof jpeg);
    library.destroy(&jpeg);
    return true;
}

}  // namespace

void leave(j_common_ptr jpeg) { std::longjmp(reinterpret_cast<JpegErrors*>(jpeg->err)->out, 1); }

JpegLibrary::JpegLibrary(const std::string& path) {
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw std::runtime_error(dlerror());
    find(library, "jpeg_std_error", std_error);
    find(library, "jpeg_CreateDecompress", create);
    find(library, "jpeg_destroy_decompress", destroy);
    find(library, "jpeg_mem_src", mem_src);
    find(library, "jpeg_save_markers", save_markers);
    find(library, "jpeg_read_header", read_header);
    find(library, "jpeg_start_decompress", start);
    find(library, "jpeg_crop_scanline", crop);
    find(library, "jpeg_skip_scanlines", skip);
    find(library, "jpeg_read_scanlines", read);
    if (!fits(*this)) throw std::runtime_error("it has another ABI than libjpeg 6b");
}

}  // namespace yolo::render
