#include "program/detection/head.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "parallel/team.h"

namespace yolo::program {

namespace {

float sigmoid(float x) {
    return 1.0f / (1.0f + std::exp(-x));
}

// A raw objectness below this cannot be above `conf` after the sigmoid; a little lower than exact, since the
// comparison that counts is made on the sigmoid itself.
float raw_threshold(float conf) {
    if (conf <= 0.0f) return -std::numeric_limits<float>::infinity();
    if (conf >= 1.0f) return std::numeric_limits<float>::infinity();
    return std::log(conf / (1.0f - conf)) - 1e-3f;
}

void require(bool fits, const char* what) {
    if (!fits) throw std::invalid_argument(what);
}

// Raises for numbers that mean nothing for images of so many predictions of `classes` classes.
void check(const ops::NmsSettings& settings, double rows, int64_t classes) {
    require(settings.conf >= 0 && settings.conf <= 1 && settings.iou >= 0 && settings.iou <= 1,
            "conf and iou are numbers from 0 to 1");
    require(settings.max_det >= 1 && settings.max_candidates >= 1, "no detections are to be kept");
    require(classes >= 1, "there are no classes");
    const bool fits = settings.wanted.empty() || static_cast<int64_t>(settings.wanted.size()) == classes;
    require(fits, "the wanted classes are others than the head's");
    require(rows * static_cast<double>(classes) < 4294967296.0, "more predictions than suppression can number");
}

}  // namespace

DetectionHead::DetectionHead(std::vector<Level> levels, int64_t classes, int64_t batch, ops::NmsSettings settings,
                             int64_t places)
    : levels_(std::move(levels)),
      classes_(classes),
      batch_(batch),
      settings_(std::move(settings)),
      places_(places) {
    require(!levels_.empty() && batch >= 1 && places >= 0, "a head without levels or images");
    double rows = static_cast<double>(places);
    for (const Level& level : levels_) {
        require(level.height >= 1 && level.width >= 1 && !level.anchors.empty() && level.anchors.size() % 2 == 0,
                "a level without cells or anchors");
        rows += static_cast<double>(level.height) * static_cast<double>(level.width) *
                static_cast<double>(level.anchors.size() / 2);
    }
    check(settings_, rows, classes);
}

// Append the decoded rows of a level whose objectness may pass.
void DetectionHead::candidates(const float* head, const Level& level, std::vector<float>& rows) const {
    const int64_t cells = level.height * level.width, columns = 5 + classes_;
    const float threshold = raw_threshold(settings_.conf);
    for (size_t anchor = 0; anchor * 2 < level.anchors.size(); ++anchor) {
        const float* planes = head + static_cast<int64_t>(anchor) * columns * cells;
        const float* objectness = planes + 4 * cells;
        for (int64_t cell = 0; cell < cells; ++cell) {
            if (!(objectness[cell] > threshold)) continue;
            const size_t first = rows.size();
            rows.resize(first + static_cast<size_t>(columns));
            float* row = rows.data() + first;
            for (int64_t c = 0; c < columns; ++c) row[c] = sigmoid(planes[c * cells + cell]);
            const auto x = static_cast<float>(cell % level.width), y = static_cast<float>(cell / level.width);
            row[0] = row[0] * (2.0f * level.stride) + (x - 0.5f) * level.stride;
            row[1] = row[1] * (2.0f * level.stride) + (y - 0.5f) * level.stride;
            row[2] = row[2] * row[2] * (4.0f * level.anchors[2 * anchor]);
            row[3] = row[3] * row[3] * (4.0f * level.anchors[2 * anchor + 1]);
            if (level.scale != 1.0f) {
                for (int64_t c = 0; c < 4; ++c) row[c] /= level.scale;
            }
            if (level.mirror > 0.0f) row[0] = level.mirror - row[0];
        }
    }
}

// Append boxes that are known, as rows that are sure of everything.
void DetectionHead::known(const float* boxes, int32_t count, std::vector<float>& rows) const {
    for (int64_t i = 0; i < std::min<int64_t>(count, places_); ++i) {
        const float* box = boxes + 5 * i;
        const auto category = static_cast<int64_t>(box[0]);
        if (category < 0 || category >= classes_) continue;
        const size_t first = rows.size();
        rows.resize(first + static_cast<size_t>(5 + classes_), 0.0f);
        std::copy(box + 1, box + 5, rows.begin() + static_cast<int64_t>(first));
        rows[first + 4] = rows[first + 5 + static_cast<size_t>(category)] = 1.0f;
    }
}

void DetectionHead::detect_image(const void* const* inputs, int64_t number, float* detections, int32_t* count) const {
    std::vector<float> rows;
    for (size_t i = 0; i < levels_.size(); ++i) {
        const float* head = static_cast<const float*>(inputs[i]) + number * levels_[i].numbers(classes_);
        candidates(head, levels_[i], rows);
    }
    if (places_ > 0) {
        const auto* boxes = static_cast<const float*>(inputs[levels_.size()]);
        const auto* counts = static_cast<const int32_t*>(inputs[levels_.size() + 1]);
        known(boxes + number * places_ * 5, counts[number], rows);
    }
    const auto found = static_cast<int64_t>(rows.size()) / (5 + classes_);
    ops::nms(rows.data(), 1, found, classes_, settings_, detections, count);
}

void DetectionHead::compute(const void* const* inputs, void* const* outputs) {
    auto* detections = static_cast<float*>(outputs[0]);
    auto* counts = static_cast<int32_t*>(outputs[1]);
    parallel::deal(batch_, 1, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
            detect_image(inputs, i, detections + i * settings_.max_det * 6, counts + i);
        }
    });
}

Nms::Nms(int64_t batch, int64_t rows, int64_t classes, ops::NmsSettings settings)
    : batch_(batch), rows_(rows), classes_(classes), settings_(std::move(settings)) {
    require(batch >= 1 && rows >= 0, "suppression without images");
    check(settings_, static_cast<double>(rows), classes);
}

void Nms::compute(const void* const* inputs, void* const* outputs) {
    ops::nms(static_cast<const float*>(inputs[0]), batch_, rows_, classes_, settings_,
             static_cast<float*>(outputs[0]), static_cast<int32_t*>(outputs[1]));
}

}  // namespace yolo::program
