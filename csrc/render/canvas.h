// The part of a view's canvas that is seen, with its tiles: each is read, resized and laid there, and no more of it than
// is seen.
#pragma once

#include <cstdint>
#include <vector>

#include "render/jpeg_library.h"
#include "render/resize.h"
#include "render/sample.h"

namespace yolo::render {

class Canvas {
public:
    // Grey, and `seen` of it has pixels.
    void begin(const Rect& seen);
    // False where the tile's file is no JPEG that is read here.
    bool lay(const Tile& tile, Fit fit, const JpegLibrary* library);
    // Mirrored pixels where `pasted` (a byte a pixel of the whole canvas, which must all be seen) is not 0.
    void paste(const uint8_t* pasted);

    const Rect& seen() const { return seen_; }
    int64_t row() const { return kChannels * seen_.width(); }
    const uint8_t* pixels() const { return pixels_.data(); }

private:
    bool lay_file(const Tile& tile, const Rect& part, Fit fit, const JpegLibrary& library);
    uint8_t* at(const Rect& place);

    Rect seen_;
    std::vector<uint8_t> pixels_, content_, region_, turned_;
    ResizeRoom room_;
};

}  // namespace yolo::render
