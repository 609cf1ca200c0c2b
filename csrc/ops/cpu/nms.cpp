#include "ops/nms.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "parallel/team.h"

namespace yolo::ops {
namespace {

constexpr float kMaxFloat = std::numeric_limits<float>::max();
constexpr int64_t kFirstChunk = 1024;

struct Box {
    float x1, y1, x2, y2;

    Box shifted(float by) const { return {x1 + by, y1 + by, x2 + by, y2 + by}; }
    float area() const { return (x2 - x1) * (y2 - y1); }
    bool finite() const { return std::isfinite(x1) && std::isfinite(y1) && std::isfinite(x2) && std::isfinite(y2); }
};

Box box_of(const float* row) {
    const float half_w = row[2] / 2, half_h = row[3] / 2;
    return {row[0] - half_w, row[1] - half_h, row[0] + half_w, row[1] + half_h};
}

// A candidate is one sortable number: the score's bits, inverted, above row * classes + class. Ascending
// order is best first, ties by row and then by class. Scores are positive, so their bits order as they do.
uint64_t make_key(float score, uint64_t pair) {
    uint32_t bits;
    std::memcpy(&bits, &score, sizeof bits);
    return (static_cast<uint64_t>(~bits) << 32) | pair;
}

float score_of(uint64_t key) {
    const uint32_t bits = ~static_cast<uint32_t>(key >> 32);
    float score;
    std::memcpy(&score, &bits, sizeof score);
    return score;
}

uint64_t pair_of(uint64_t key) {
    return key & 0xffffffffu;
}

struct Candidates {
    std::vector<uint64_t> keys;
    float left = kMaxFloat, right = -kMaxFloat;  // the span of all boxes on the x axis

    void widen(const Box& box) {
        left = std::min({left, box.x1, box.x2});
        right = std::max({right, box.x1, box.x2});
    }
};

// Not finite means not a score: NaN fails the first test, infinity the second.
bool is_score(float score, float conf) {
    return (score > conf) & (score <= kMaxFloat);
}

// Branch-free, so that it vectorises: most rows hold no class above conf.
bool any_score(const float* scores, int64_t classes, float objectness, float conf) {
    int hits = 0;
    for (int64_t c = 0; c < classes; ++c) hits |= is_score(objectness * scores[c], conf);
    return hits != 0;
}

Candidates gather(const float* image, int64_t rows, int64_t classes, const NmsSettings& settings) {
    Candidates found;
    const auto add = [&](float score, int64_t row, int64_t c) {
        if (settings.wanted.empty() || settings.wanted[c]) found.keys.push_back(make_key(score, row * classes + c));
    };
    for (int64_t i = 0; i < rows; ++i) {
        const float* row = image + i * (5 + classes);
        const float objectness = row[4];
        const float* scores = row + 5;
        if (!(objectness > settings.conf) || !any_score(scores, classes, objectness, settings.conf)) continue;
        const Box box = box_of(row);
        if (!box.finite()) continue;
        found.widen(box);
        int64_t best = -1;
        float best_score = 0;
        for (int64_t c = 0; c < classes; ++c) {
            const float score = objectness * scores[c];
            if (!is_score(score, settings.conf)) continue;
            if (settings.multi_label) {
                add(score, i, c);
            } else if (best < 0 || score > best_score) {
                best = c;
                best_score = score;
            }
        }
        if (best >= 0) add(best_score, i, best);
    }
    return found;
}

// The boxes kept so far, one array a coordinate so that the comparison with all of them vectorises.
class Kept {
  public:
    void add(const Box& box) {
        x1_.push_back(box.x1);
        y1_.push_back(box.y1);
        x2_.push_back(box.x2);
        y2_.push_back(box.y2);
        area_.push_back(box.area());
    }

    bool suppress(const Box& box, float threshold) const {
        constexpr size_t kBlock = 64;
        for (size_t begin = 0; begin < x1_.size(); begin += kBlock) {
            if (any_overlap(box, threshold, begin, std::min(x1_.size(), begin + kBlock))) return true;
        }
        return false;
    }

  private:
    bool any_overlap(const Box& box, float threshold, size_t begin, size_t end) const {
        const float *x1 = x1_.data(), *y1 = y1_.data(), *x2 = x2_.data(), *y2 = y2_.data();
        const float* areas = area_.data();
        const float area = box.area();
        int hits = 0;
        for (size_t k = begin; k < end; ++k) {
            const float w = std::max(0.0f, std::min(x2[k], box.x2) - std::max(x1[k], box.x1));
            const float h = std::max(0.0f, std::min(y2[k], box.y2) - std::max(y1[k], box.y1));
            const float inter = w * h;
            hits |= inter / (areas[k] + area - inter) > threshold;
        }
        return hits != 0;
    }

    std::vector<float> x1_, y1_, x2_, y2_, area_;
};

void write(const Box& box, float score, int64_t c, float* out) {
    const float row[6] = {box.x1, box.y1, box.x2, box.y2, score, static_cast<float>(c)};
    std::copy(row, row + 6, out);
}

// Hands out the best `limit` keys in order. Sorts them chunk by chunk: max_det is often reached long before the
// last candidate.
class BestFirst {
  public:
    BestFirst(std::vector<uint64_t> keys, int64_t limit)
        : keys_(std::move(keys)), limit_(std::min<int64_t>(keys_.size(), limit)) {
        if (limit_ < static_cast<int64_t>(keys_.size())) {
            std::nth_element(keys_.begin(), keys_.begin() + limit_, keys_.end());
        }
    }

    bool next(uint64_t& key) {
        if (at_ == limit_) return false;
        if (at_ == sorted_) sort_chunk();
        key = keys_[at_++];
        return true;
    }

  private:
    void sort_chunk() {
        sorted_ = std::min(limit_, at_ + chunk_);
        chunk_ *= 2;
        const auto begin = keys_.begin() + at_, end = keys_.begin() + sorted_;
        if (sorted_ < limit_) std::nth_element(begin, end, keys_.begin() + limit_);
        std::sort(begin, end);
    }

    std::vector<uint64_t> keys_;
    int64_t limit_, at_ = 0, sorted_ = 0, chunk_ = kFirstChunk;
};

int32_t nms_image(const float* image, int64_t rows, int64_t classes, const NmsSettings& settings, float* out) {
    Candidates found = gather(image, rows, classes, settings);
    // Boxes of different classes cannot meet when none of them spans the offset, so each class looks at its own
    // only. Rounding keeps order, so this holds for the shifted coordinates too.
    const bool apart = !settings.agnostic && found.right - found.left < kClassOffset;
    std::vector<Kept> kept(apart ? classes : 1);
    const float threshold = round_down(settings.iou);
    BestFirst queue(std::move(found.keys), settings.max_candidates);
    int64_t count = 0;
    for (uint64_t key = 0; count < settings.max_det && queue.next(key);) {
        const int64_t row = pair_of(key) / classes, c = pair_of(key) % classes;
        const Box box = box_of(image + row * (5 + classes));
        const Box shifted = settings.agnostic ? box : box.shifted(kClassOffset * static_cast<float>(c));
        Kept& rivals = kept[apart ? c : 0];
        if (rivals.suppress(shifted, threshold)) continue;
        rivals.add(shifted);
        write(box, score_of(key), c, out + 6 * count++);
    }
    return static_cast<int32_t>(count);
}

}  // namespace

void nms(const float* predictions, int64_t images, int64_t rows, int64_t classes, const NmsSettings& settings,
         float* detections, int32_t* counts) {
    std::fill(detections, detections + images * settings.max_det * 6, 0.0f);
    parallel::deal(images, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            counts[i] = nms_image(predictions + i * rows * (5 + classes), rows, classes, settings,
                                  detections + i * settings.max_det * 6);
        }
    });
}

}  // namespace yolo::ops
