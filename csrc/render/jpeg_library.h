// libjpeg-turbo as it is found at run time: Pillow's wheels bring it, with the widest vectors of each processor.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <string>

extern "C" {
#include "third_party/libjpeg-turbo/jpeglib.h"
}

namespace yolo::render {

// The functions that reading needs; their names and types are libjpeg's.
struct JpegLibrary {
    // Raises std::runtime_error where `path` is no libjpeg-turbo of libjpeg's 6b ABI. It is never unloaded.
    explicit JpegLibrary(const std::string& path);

    decltype(&jpeg_std_error) std_error;
    decltype(&jpeg_CreateDecompress) create;
    decltype(&jpeg_destroy_decompress) destroy;
    decltype(&jpeg_mem_src) mem_src;
    decltype(&jpeg_save_markers) save_markers;
    decltype(&jpeg_read_header) read_header;
    decltype(&jpeg_start_decompress) start;
    decltype(&jpeg_crop_scanline) crop;
    decltype(&jpeg_skip_scanlines) skip;
    decltype(&jpeg_read_scanlines) read;
};

// What libjpeg says goes here, and an error back to the function that has called setjmp(out).
struct JpegErrors {
    jpeg_error_mgr base;
    std::jmp_buf out;
};
[[noreturn]] void leave(j_common_ptr jpeg);

}  // namespace yolo::render
