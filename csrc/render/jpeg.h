// Reading part of a JPEG: only the rows and columns that are wanted, at full size or a half, quarter, eighth of it.
#pragma once

#include <csetjmp>
#include <cstdint>
#include <vector>

#include "render/jpeg_library.h"
#include "render/sample.h"

namespace yolo::render {

// The bytes of one file, which must outlive it. After a function has given false nothing more can be asked for: the file
// is no JPEG that this reads (other than 8 bits grey, YCbCr or RGB; an orientation that only a lenient reader finds), or
// is cut off, or damaged so that libjpeg gives up. What libjpeg only warns about passes, as with OpenCV.
class JpegReader {
public:
    JpegReader(const JpegLibrary& library, const Bytes& content);
    ~JpegReader();
    JpegReader(const JpegReader&) = delete;
    JpegReader& operator=(const JpegReader&) = delete;

    bool open();
    // As it is stored.
    Size size() const { return size_; }
    // EXIF's, 1 to 8.
    int orientation() const { return orientation_; }

    // The size that is read when both sides are divided by 1, 2, 4 or 8.
    static Size divided(const Size& size, int64_t divisor);
    // Pixels `wanted` of the image of divided(size(), divisor), to `out`: RGB, its rows `row` bytes apart. Once only.
    bool read(int64_t divisor, const Rect& wanted, uint8_t* out, int64_t row);

private:
    const JpegLibrary& library_;
    const Bytes content_;
    jpeg_decompress_struct jpeg_{};
    JpegErrors errors_;
    Size size_;
    int orientation_ = 1;
    std::vector<uint8_t> line_;
};

// The orientation in an EXIF block of a JPEG, behind "Exif\0\0": 1 to 8, or 0 where it is none that is plain to read.
int exif_orientation(const uint8_t* block, size_t length);

}  // namespace yolo::render
