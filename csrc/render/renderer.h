// Makes samples: uint8 planes [3, H, W] of a batch, on the process's threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "render/jpeg_library.h"
#include "render/sample.h"

namespace yolo::render {

// A tile whose file is no JPEG that is read here: whoever wants the sample brings its pixels.
struct Unread {
    int64_t sample, view, tile;
};

struct Scratch;

class Renderer {
public:
    // `jpeg`: the path of libjpeg-turbo, "" for none. Raises std::runtime_error as JpegLibrary.
    explicit Renderer(const std::string& jpeg);
    ~Renderer();

    // Makes all samples but those with a tile that is given back, whose planes may be written or not. Several threads
    // may call it. `parallel`: on the process's threads, else on the caller's. Raises std::runtime_error when closed.
    std::vector<Unread> render(const std::vector<Sample>& samples, bool parallel);
    void close() { closed_ = true; }

private:
    std::unique_ptr<Scratch> borrow();
    void give_back(std::unique_ptr<Scratch> scratch);

    std::optional<JpegLibrary> library_;
    std::atomic<bool> closed_{false};
    std::mutex mutex_;
    std::vector<std::unique_ptr<Scratch>> free_;
};

}  // namespace yolo::render
