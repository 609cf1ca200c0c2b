#include "render/jpeg.h"

#include <cstring>

namespace yolo::render {
namespace {

constexpr int kExif = JPEG_APP0 + 1;
constexpr char kExifBegin[] = "Exif\0";  // and the literal's own end
constexpr int64_t kMostPixels = int64_t{1} << 30;  // yolo.data.images.MAX_PIXELS
constexpr int64_t kMargin = 2;  // columns: an enlarged chroma sample takes part in its neighbours' pixels

void count_warning(j_common_ptr jpeg, int level) {
    if (level < 0) ++jpeg->err->num_warnings;
}
void say_nothing(j_common_ptr) {}

uint32_t number(const uint8_t* at, int bytes, bool little) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= uint32_t{at[i]} << 8 * (little ? i : bytes - 1 - i);
    return value;
}

}  // namespace

int exif_orientation(const uint8_t* block, size_t length) {
    if (length < 8) return 0;
    const bool little = std::memcmp(block, "II*\0", 4) == 0;
    if (!little && std::memcmp(block, "MM\0*", 4) != 0) return 0;
    const size_t start = number(block + 4, 4, little);
    if (start > length - 2) return 0;
    const size_t count = number(block + start, 2, little);
    if (start + 2 + 12 * count > length) return 0;
    for (size_t k = 0; k < count; ++k) {
        const uint8_t* const entry = block + start + 2 + 12 * k;
        if (number(entry, 2, little) != 274) continue;
        const uint32_t kind = number(entry + 2, 2, little);
        const int bytes = kind == 1 ? 1 : kind == 3 ? 2 : kind == 4 ? 4 : 0;
        const uint32_t value = bytes > 0 ? number(entry + 8, bytes, little) : 0;
        return value >= 1 && value <= 8 ? static_cast<int>(value) : 0;
    }
    return 1;
}

JpegReader::JpegReader(const JpegLibrary& library, const Bytes& content)
    : library_(library), content_(content) {
    jpeg_.err = library_.std_error(&errors_.base);
    errors_.base.error_exit = leave;
    errors_.base.emit_message = count_warning;
    errors_.base.output_message = say_nothing;
}

JpegReader::~JpegReader() {
    if (jpeg_.mem != nullptr) library_.destroy(&jpeg_);
}

// No local variable here or in read() has a destructor: an error jumps over them.
bool JpegReader::open() {
    if (content_.size < 4 || std::memcmp(content_.data, "\xFF\xD8\xFF", 3) != 0) return false;
    if (setjmp(errors_.out) != 0) return false;
    library_.create(&jpeg_, JPEG_LIB_VERSION, sizeof jpeg_);
    library_.mem_src(&jpeg_, content_.data, content_.size);
    jpeg_.src->fill_input_buffer = [](j_decompress_ptr jpeg) -> boolean { leave(reinterpret_cast<j_common_ptr>(jpeg)); };
    library_.save_markers(&jpeg_, kExif, 0xFFFF);
    library_.read_header(&jpeg_, TRUE);
    size_ = {jpeg_.image_height, jpeg_.image_width};
    const bool known = jpeg_.jpeg_color_space == JCS_GRAYSCALE || jpeg_.jpeg_color_space == JCS_YCbCr ||
                       jpeg_.jpeg_color_space == JCS_RGB;
    if (!known || jpeg_.data_precision != 8 || size_.height * size_.width > kMostPixels) return false;
    if (errors_.base.num_warnings > 0) return false;  // another reader may have seen another header
    for (const jpeg_marker_struct* marker = jpeg_.marker_list; marker != nullptr; marker = marker->next) {
        const size_t begin = sizeof kExifBegin;
        if (marker->data_length < begin || std::memcmp(marker->data, kExifBegin, begin) != 0) continue;
        orientation_ = exif_orientation(marker->data + begin, marker->data_length - begin);
        return orientation_ > 0;
    }
    return true;
}

Size JpegReader::divided(const Size& size, int64_t divisor) {
    return {(size.height + divisor - 1) / divisor, (size.width + divisor - 1) / divisor};
}

bool JpegReader::read(int64_t divisor, const Rect& wanted, uint8_t* out, int64_t row) {
    line_.resize(static_cast<size_t>(kChannels * divided(size_, divisor).width));
    if (setjmp(errors_.out) != 0) return false;
    jpeg_.out_color_space = JCS_RGB;
    jpeg_.scale_num = 1;
    jpeg_.scale_denom = static_cast<unsigned>(divisor);
    library_.start(&jpeg_);
    const Size made = divided(size_, divisor);
    if (jpeg_.output_height != made.height || jpeg_.output_width != made.width) return false;  // lossless: never divided
    JDIMENSION left = static_cast<JDIMENSION>(std::max<int64_t>(wanted.x0 - kMargin, 0));
    JDIMENSION width = static_cast<JDIMENSION>(std::min<int64_t>(wanted.x1 + kMargin, jpeg_.output_width)) - left;
    if (width < jpeg_.output_width) library_.crop(&jpeg_, &left, &width);
    const size_t skipped = static_cast<size_t>(kChannels * (wanted.x0 - left));
    const size_t length = static_cast<size_t>(kChannels * wanted.width());
    if (wanted.y0 > 0) library_.skip(&jpeg_, static_cast<JDIMENSION>(wanted.y0));
    JSAMPROW line = line_.data();
    for (int64_t y = 0; y < wanted.height(); ++y) {
        if (library_.read(&jpeg_, &line, 1) != 1) return false;
        std::memcpy(out + y * row, line + skipped, length);
    }
    return true;
}

}  // namespace yolo::render
