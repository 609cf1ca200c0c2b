// A stress run for ThreadSanitizer (make stress): many threads share a detector while its weights are replaced, and
// others train; their loops run on the process's team.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "parallel/team.h"
#include "program/cpu/side_by_side.h"
#include "program/detection/detector.h"
#include "program/detection/head.h"
#include "program/step/step.h"

namespace {

using namespace yolo::program;

constexpr int64_t kSide = 32, kChannels = 16, kClasses = 3, kColumns = 5 + kClasses;
constexpr int64_t kMap = kChannels * kSide / 2 * kSide / 2 * 4;  // bytes
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

TensorView map_of(int64_t offset, int64_t channels, int64_t side) {
    const int64_t block = channel_block();
    return {offset, channels, side, side, 4, Layout::blocked, 0, (channels + block - 1) / block * block};
}

Step conv(const char* kind, const char* where, TensorView from, TensorView to, int64_t k, int64_t s, int64_t p) {
    return {kind, where, {{"source", {from}}, {"target", {to}}},
            {{"kernel", Numbers{k, k}}, {"stride", Numbers{s, s}}, {"padding", Numbers{p, p}},
             {"dilation", Numbers{1, 1}}, {"groups", int64_t{1}}, {"transposed", false}}};
}

Plan plan_of(int64_t maps) {
    Plan plan;
    plan.block = channel_block(), plan.threads = kTeam;
    plan.images = {1, 3, kSide, kSide}, plan.heads = {{1, kColumns, kSide / 2, kSide / 2}};
    plan.arena = maps * kMap + kSide * kSide * 12;
    return plan;
}

Step load(TensorView image) {
    return {"load_images", "input", {{"target", {image}}}, {{"divisor", 255.0}}};
}

Step store(TensorView head) {
    return {"store_head", "head", {{"source", {head}}}, {{"number", int64_t{0}}}};
}

// Convolution of stride 2 with SiLU, attention of the map with itself, head.
std::unique_ptr<Executor> network(std::shared_ptr<Weights> weights, int threads = kTeam) {
    const TensorView image{3 * kMap, 3, kSide, kSide, 4, Layout::nchw, 0, 3}, first = map_of(0, kChannels, kSide / 2),
                     mixed = map_of(kMap, kChannels, kSide / 2), head = map_of(2 * kMap, kColumns, kSide / 2);
    const auto fused = [](Step step, const char* activation) {
        step.attributes["weights"] = step.where, step.attributes["bias"] = true;
        step.attributes["activation"] = std::string(activation), step.attributes["value"] = 0.0;
        step.attributes["algorithm"] = std::string("direct");
        return step;
    };
    Plan plan = plan_of(3);
    plan.threads = threads;
    plan.forward = {load(image), fused(conv("conv", "first", image, first, 3, 2, 1), "SiLU"),
                    {"attention", "mixed", {{"query", {first}}, {"key", {first}}, {"value", {first}}, {"target", {mixed}}},
                     {{"heads", int64_t{4}}}},
                    fused(conv("conv", "head", mixed, head, 1, 1, 0), "Identity"), store(head)};
    return std::make_unique<Executor>(std::move(plan), Resources{std::move(weights), nullptr, nullptr});
}

// A convolution of stride 2 and a head, forward and backward.
std::unique_ptr<Executor> trainer() {
    constexpr int64_t first = kChannels * 27;
    const TensorView image{4 * kMap, 3, kSide, kSide, 4, Layout::nchw, 0, 3};
    const auto view = [](int64_t number, int64_t channels) { return map_of(number * kMap, channels, kSide / 2); };
    const auto learning = [](Step step, Numbers rows) {
        step.attributes["weights"] = rows, step.attributes["algorithm"] = std::string("direct");
        return step;
    };
    Plan plan = plan_of(4);
    plan.values = plan.gradient = first + kColumns * kChannels;
    plan.forward = {load(image), learning(conv("conv_forward", "first", image, view(0, kChannels), 3, 2, 1), {0, first}),
                    learning(conv("conv_forward", "head", view(0, kChannels), view(1, kColumns), 1, 1, 0),
                             {first, kColumns * kChannels}),
                    store(view(1, kColumns))};
    plan.backward = {
        {"load_head_gradient", "head", {{"target", {view(2, kColumns)}}}, {{"number", int64_t{0}}}},
        {"conv_backward", "head",
         {{"source", {view(0, kChannels)}}, {"gradient", {view(2, kColumns)}}, {"source_gradient", {view(3, kChannels)}}},
         {{"of", int64_t{2}}, {"algorithm", std::string("direct")}}},
        {"conv_backward", "first", {{"source", {image}}, {"gradient", {view(3, kChannels)}}}, {{"of", int64_t{1}}, {"algorithm", std::string("direct")}}}};
    return std::make_unique<Executor>(std::move(plan), Resources{});
}

void together(const std::vector<std::function<void()>>& works) {
    std::vector<std::thread> threads;
    for (const auto& work : works) threads.emplace_back(work);
    for (std::thread& thread : threads) thread.join();
}

std::atomic<int> wrong{0};

constexpr int64_t kFound = 20;

// What a detector finds in images that follow from these seeds, one after the other.
std::vector<float> detect(DetectorProgram& detector, const std::vector<unsigned>& seeds) {
    std::vector<uint8_t> images;
    for (unsigned seed : seeds) {
        for (int64_t i = 0; i < 3 * kSide * kSide; ++i) {
            images.push_back(static_cast<uint8_t>((seed = seed * 1664525u + 1013904223u) >> 24));
        }
    }
    std::vector<float> found(seeds.size() * kFound * 6);
    std::vector<int32_t> counts(seeds.size());
    const void* inputs[] = {images.data()};
    void* outputs[] = {found.data(), counts.data()};
    detector.run(inputs, outputs);
    for (const int32_t count : counts) found.push_back(static_cast<float>(count));
    return found;
}

DetectionHead head_of(int64_t batch) {
    return {kLevels, kClasses, batch, {0.3f, 0.45, kFound, 1000, false, false, {}}};
}

// A network for one thread, with a memory of its own, and its detector.
struct Lane {
    explicit Lane(std::shared_ptr<Weights> weights) : program(network(std::move(weights), 1)), head(head_of(1)) {}
    std::unique_ptr<Executor> program;
    DetectionHead head;
    DetectorProgram detector{*program, head};
};

// Threads with images of their own share one detector, others have lanes, and one of them looks at batches that go through
// all lanes side by side; every result equals that of a single thread.
void share_detector() {
    auto weights = std::make_shared<Weights>();
    set_weights(*weights, 7);
    const auto program = network(weights);
    DetectionHead head = head_of(1), batch_head = head_of(kThreads);
    DetectorProgram detector(*program, head);
    Lane lanes[] = {Lane(weights), Lane(weights), Lane(weights)};
    SideBySide batch({lanes[0].program.get(), lanes[1].program.get(), lanes[2].program.get()}, kThreads,
                     std::make_shared<Memory>());
    DetectorProgram batches(batch, batch_head);
    std::vector<std::function<void()>> works;
    const auto add = [&works](DetectorProgram& one, const std::vector<unsigned>& seeds) {
        works.push_back([&one, seeds, expected = detect(one, seeds)] {
            for (int run = 0; run < kRuns; ++run) wrong += detect(one, seeds) != expected;
        });
        return detect(one, seeds);
    };
    std::vector<unsigned> seeds;
    for (unsigned number = 0; number < kThreads; ++number) {
        seeds.push_back(number);
        const auto expected = add(detector, {number});
        if (number < 3) wrong += add(lanes[number].detector, {number}) != expected;
    }
    const auto together_found = add(batches, seeds), first = detect(detector, {0});
    wrong += !std::equal(first.begin(), first.end() - 1, together_found.begin());
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
        const yolo::ops::LossSettings settings{0.05, 1.0, 0.5, 1.0, 1.0, 4.0, 0.0, 0.0, {1.0}};
        const auto executor = trainer();
        GradientStep step(*executor, DetectionLoss(kLevels, kClasses, settings), 4, 1);
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
    yolo::parallel::set_default_threads(kTeam);
    share_detector();
    train_beside();
    std::printf("%d wrong results\n", wrong.load());
    return wrong.load() == 0 ? 0 : 1;
}
