// A stress run for ThreadSanitizer (make stress): many threads share a detector while its weights are replaced, and
// others train; their loops run on the process's team.
#include <atomic>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "program/detection/detector.h"
#include "program/step/step.h"

namespace {

using namespace yolo::program;

constexpr int64_t kSide = 32, kChannels = 16, kClasses = 3, kColumns = 5 + kClasses;
constexpr int kThreads = 8, kRuns = 200, kTeam = 3;

const std::vector<Level> kLevels{{kSide / 2, kSide / 2, 2.0f, {4.0f, 6.0f}}};

std::vector<float> numbers(size_t count, unsigned seed) {
    std::vector<float> found(count);
    for (float& value : found) value = static_cast<float>((seed = seed * 1664525u + 1013904223u) >> 8) / 3e7f - 0.28f;
    return found;
}

void set_weights(Weights& weights, unsigned seed) {
    weights.set("first.weight", numbers(kChannels * 3 * 9, seed), {kChannels, 3, 3, 3});
    weights.set("first.bias", numbers(kChannels, seed + 1), {kChannels});
    weights.set("head.weight", numbers(kColumns * kChannels, seed + 2), {kColumns, kChannels, 1, 1});
    weights.set("head.bias", numbers(kColumns, seed + 3), {kColumns});
}

// Convolution of stride 2 with SiLU, attention of the map with itself, head.
std::unique_ptr<InferenceProgram> network(std::shared_ptr<Weights> weights) {
    constexpr int64_t half = kSide / 2, map = kChannels * half * half * 4;
    auto program = std::make_unique<InferenceProgram>(std::move(weights), 4 * map + kSide * kSide * 12, 1, kTeam, false);
    const View picture{3 * map, 3, kSide, kSide, true}, first{0, kChannels, half, half, false};
    const View mixed{map, kChannels, half, half, false}, head{2 * map, kColumns, half, half, false};
    program->input(picture, true);
    const ConvShape wide{{3, 3}, {2, 2}, {1, 1}, {1, 1}, 1, false}, narrow{{1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, false};
    program->conv("first", {picture, first, "first", true, wide, "SiLU", 0.0f, nullptr, false});
    program->attention("mixed", first, first, first, mixed, 4);
    program->conv("head", {mixed, head, "head", true, narrow, "Identity", 0.0f, nullptr, true});
    program->output(head);
    program->finish();
    return program;
}

std::shared_ptr<training::TrainingProgram> trainer() {
    constexpr int64_t half = kSide / 2, map = kChannels * half * half * 4;
    auto program = std::make_shared<training::TrainingProgram>(
        5 * map + kSide * kSide * 12, 1, kTeam, false, std::make_shared<training::Memory>(), nullptr);
    const training::Slice picture{4 * map, 3, 0, 3, kSide, kSide, 4, true};
    const auto slice = [&](int64_t number, int64_t channels) {
        return training::Slice{number * map, kChannels, 0, channels, half, half, 4, false};
    };
    program->load_images(picture, true);
    const training::Rows first{0, kChannels * 27}, head{kChannels * 27, kColumns * kChannels};
    const int one = program->conv({"first", picture, slice(0, kChannels), {first}, -1, {3, 3}, {2, 2}, {1, 1}, {1, 1}});
    const int two = program->conv({"head", slice(0, kChannels), slice(1, kColumns), {head}, -1, {1, 1}, {1, 1}, {0, 0}, {1, 1}});
    program->store_head("head", slice(1, kColumns));
    program->load_head_gradient("head", slice(2, kColumns), 0);
    program->conv_back(two, slice(0, kChannels), slice(2, kColumns), slice(3, kChannels));
    program->conv_back(one, picture, slice(3, kChannels), std::nullopt);
    program->finish();
    return program;
}

void together(const std::vector<std::function<void()>>& works) {
    std::vector<std::thread> threads;
    for (const auto& work : works) threads.emplace_back(work);
    for (std::thread& thread : threads) thread.join();
}

std::atomic<int> wrong{0};

// Threads with pictures of their own share one detector; every result equals that of a single thread.
void share_detector() {
    auto weights = std::make_shared<Weights>();
    set_weights(*weights, 7);
    const auto program = network(weights);
    DetectionHead head(kLevels, kClasses, 1, {0.3f, 0.45, 20, 1000, false, false, {}});
    DetectorProgram detector(*program, head);
    const auto detect = [&](unsigned seed) {
        std::vector<uint8_t> picture(3 * kSide * kSide);
        for (uint8_t& pixel : picture) pixel = static_cast<uint8_t>((seed = seed * 1664525u + 1013904223u) >> 24);
        std::vector<float> found(20 * 6 + 1);
        int32_t count = 0;
        const void* inputs[] = {picture.data()};
        void* outputs[] = {found.data(), &count};
        detector.run(inputs, outputs);
        found.back() = static_cast<float>(count);
        return found;
    };
    std::vector<std::function<void()>> works;
    for (unsigned number = 0; number < kThreads; ++number) {
        works.push_back([&detect, number, expected = detect(number)] {
            for (int run = 0; run < kRuns; ++run) wrong += detect(number) != expected;
        });
    }
    together(works);
    works.push_back([&weights] {
        for (unsigned seed = 0; seed < 50; ++seed) set_weights(*weights, 7);  // the same values: results stay
    });
    works.push_back([&weights] {
        for (int round = 0; round < 20; ++round) network(weights);  // programs of other shapes pack the same constants
    });
    together(works);
}

// Two training steps on programs of their own, at the same time.
void train_beside() {
    const auto steps = [] {
        const yolo::ops::LossSettings settings{0.05, 1.0, 0.5, 1.0, 1.0, 4.0, 0.0, 0.0, nullptr};
        GradientStep step(trainer(), DetectionLoss(kLevels, kClasses, settings, {1.0}), 4, 1);
        std::vector<uint8_t> images(3 * kSide * kSide, 90);
        const float labels[20] = {1, 0.5f, 0.5f, 0.3f, 0.3f};
        const int32_t count = 1;
        std::vector<float> values = numbers(kChannels * 27 + kColumns * kChannels, 3), gradient(values.size());
        float parts[4];
        const void* inputs[] = {images.data(), labels, &count, values.data(), gradient.data()};
        void* outputs[] = {parts};
        for (int run = 0; run < kRuns; ++run) {
            std::memset(gradient.data(), 0, gradient.size() * sizeof(float));
            step.run(inputs, outputs);
        }
        return gradient;
    };
    const auto expected = steps();
    together({[&] { wrong += steps() != expected; }, [&] { wrong += steps() != expected; }, share_detector});
}

}  // namespace

int main() {
    share_detector();
    train_beside();
    std::printf("%d wrong results\n", wrong.load());
    return wrong.load() == 0 ? 0 : 1;
}
