#include "render/canvas.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "render/jpeg.h"

namespace yolo::render {
namespace {

constexpr size_t kBehind = 8;  // bytes that the kernels may look at behind the last pixel

bool read_file(const std::string& path, std::vector<uint8_t>& content) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return false;
    struct stat status {};
    bool good = fstat(file, &status) == 0 && S_ISREG(status.st_mode);
    content.resize(good ? static_cast<size_t>(status.st_size) : 0);
    for (size_t done = 0; good && done < content.size();) {
        const ssize_t got = ::read(file, content.data() + done, content.size() - done);
        good = got > 0;
        done += good ? static_cast<size_t>(got) : 0;
    }
    close(file);
    return good;
}

// The largest of 1, 2, 4, 8 that divides an image into no less than is wanted: as yolo.data.images.divisor.
int64_t divisor_of(const Size& size, const Size& wanted) {
    for (const int64_t divisor : {8, 4, 2}) {
        const Size divided = JpegReader::divided(size, divisor);
        if (divided.height >= wanted.height && divided.width >= wanted.width) return divisor;
    }
    return 1;
}

Size turned(const Size& size, int orientation) {
    return orientation >= 5 ? Size{size.width, size.height} : size;
}

// Whether an upright image's last column, or row, is stored first (EXIF).
bool mirrored(int orientation) { return orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7; }
bool inverted(int orientation) { return orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8; }

// Where `place` of an upright image of `size` lies in the image as it is stored.
Rect stored(const Rect& place, const Size& size, int orientation) {
    Rect found = place;
    if (mirrored(orientation)) found.x0 = size.width - place.x1, found.x1 = size.width - place.x0;
    if (inverted(orientation)) found.y0 = size.height - place.y1, found.y1 = size.height - place.y0;
    return orientation >= 5 ? Rect{found.y0, found.x0, found.y1, found.x1} : found;
}

// The part of an upright decoding of `size`, made by `divisor`, that the image covers: its last stored row and column may
// stand for pixels that it does not have.
Extent covered(const Size& size, const Size& image, int64_t divisor, int orientation) {
    const auto by = static_cast<double>(divisor);
    Extent extent{0, 0, static_cast<double>(image.width) / by, static_cast<double>(image.height) / by};
    if (mirrored(orientation)) extent.x = static_cast<double>(size.width) - extent.width;
    if (inverted(orientation)) extent.y = static_cast<double>(size.height) - extent.height;
    return extent;
}

// Writes the upright `size` pixels of a stored region.
void turn(const uint8_t* from, const Size& size, int orientation, uint8_t* out) {
    const int64_t width = turned(size, orientation).width;
    const auto place = [&](int64_t x, int64_t y) {
        const Rect at = stored({x, y, x + 1, y + 1}, size, orientation);
        return kChannels * (at.y0 * width + at.x0);
    };
    const int64_t step = place(1, 0) - place(0, 0);
    for (int64_t y = 0; y < size.height; ++y) {
        const uint8_t* pixel = from + place(0, y);
        for (int64_t x = 0; x < size.width; ++x, pixel += step, out += kChannels) std::memcpy(out, pixel, kChannels);
    }
}

}  // namespace

void Canvas::begin(const Rect& seen) {
    seen_ = seen.empty() ? Rect{} : seen;
    pixels_.assign(static_cast<size_t>(row() * seen_.height()) + kBehind, kGrey);
}

uint8_t* Canvas::at(const Rect& place) {
    return pixels_.data() + (place.y0 - seen_.y0) * row() + kChannels * (place.x0 - seen_.x0);
}

bool Canvas::lay(const Tile& tile, Fit fit, const JpegLibrary* library) {
    const Rect place = tile.place().within(seen_);
    if (place.empty()) return true;
    const Rect part = place.moved(-tile.x, -tile.y);
    if (tile.kept == nullptr) return library != nullptr && lay_file(tile, part, fit, *library);
    for (int64_t y = 0; y < place.height(); ++y) {
        const int64_t first = (part.y0 + y) * tile.resized.width + part.x0;
        std::memcpy(at(place) + y * row(), tile.kept + kChannels * first, static_cast<size_t>(kChannels * place.width()));
    }
    return true;
}

bool Canvas::lay_file(const Tile& tile, const Rect& part, Fit fit, const JpegLibrary& library) {
    if (tile.content.data == nullptr && !read_file(tile.path, content_)) return false;
    JpegReader reader(library, tile.content.data != nullptr ? tile.content : Bytes{content_.data(), content_.size()});
    if (!reader.open()) return false;
    const int orientation = reader.orientation();
    const Size image = turned(reader.size(), orientation);
    const int64_t divisor = fit == Fit::area ? 1 : divisor_of(image, tile.resized);
    const Size size = turned(JpegReader::divided(reader.size(), divisor), orientation);
    const bool placed = fit == Fit::placed && divisor > 1;
    const Source from{size, placed ? covered(size, image, divisor, orientation) : Extent::of(size)};
    const Method method = placed ? Method::linear : method_of(size, tile.resized, fit);
    const Rect upright = source_of(from, tile.resized, part, method);
    const Rect region = stored(upright, size, orientation);
    uint8_t* const to = at(part.moved(tile.x, tile.y));
    if (method == Method::none && orientation == 1) return reader.read(divisor, region, to, row());
    region_.resize(static_cast<size_t>(kChannels * region.width() * region.height()) + kBehind);
    if (!reader.read(divisor, region, region_.data(), kChannels * region.width())) return false;
    Pixels source{region_.data(), kChannels * upright.width()};
    if (orientation != 1) {
        turned_.resize(region_.size());
        turn(region_.data(), {upright.height(), upright.width()}, orientation, turned_.data());
        source.data = turned_.data();
    }
    if (method != Method::none) {
        resize(source, from, tile.resized, part, method, kChannels, room_, to, row());
        return true;
    }
    for (int64_t y = 0; y < part.height(); ++y) {
        std::memcpy(to + y * row(), source.data + y * source.row, static_cast<size_t>(kChannels * part.width()));
    }
    return true;
}

void Canvas::paste(const uint8_t* pasted) {
    const int64_t width = seen_.width();
    region_ = pixels_;
    for (int64_t y = 0; y < seen_.height(); ++y) {
        for (int64_t x = 0; x < width; ++x) {
            if (pasted[y * width + x] == 0) continue;
            std::memcpy(pixels_.data() + kChannels * (y * width + x),
                        region_.data() + kChannels * (y * width + width - 1 - x), kChannels);
        }
    }
}

}  // namespace yolo::render
