#include "cuda/gpu/plan_store.h"

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace yolo::cuda {
namespace {

constexpr char kFormat[] = "a cuDNN plan of a convolution, 1";
constexpr uintmax_t kMostBytes = uintmax_t{64} << 20;

// FNV-1a, as 16 hexadecimal digits.
std::string sum(const std::string& text) {
    uint64_t hash = 14695981039346656037u;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
    return digits;
}

std::filesystem::path file_of(const std::string& folder, const std::string& key) {
    return std::filesystem::path(folder) / (sum(key) + ".plan");
}

// Takes a line from the front of a text; without one all of it.
std::string line(std::string& text) {
    const size_t end = text.find('\n');
    std::string taken = text.substr(0, end);
    text.erase(0, end == std::string::npos ? end : end + 1);
    return taken;
}

}  // namespace

std::optional<KeptPlan> kept_plan(const std::string& folder, const std::string& key) {
    if (folder.empty()) return std::nullopt;
    const std::filesystem::path file = file_of(folder, key);
    std::error_code error;
    const uintmax_t bytes = std::filesystem::file_size(file, error);
    if (error || bytes > kMostBytes) return std::nullopt;
    std::string text(static_cast<size_t>(bytes), '\0');
    std::ifstream in(file, std::ios::binary);
    if (!in.read(text.data(), static_cast<std::streamsize>(bytes))) return std::nullopt;
    const std::string format = line(text), stated = line(text);
    if (format != kFormat || stated != sum(text) || line(text) != key) return std::nullopt;
    KeptPlan kept;
    kept.form = line(text);
    kept.name = line(text);
    kept.plan = std::move(text);
    return kept;
}

void keep_plan(const std::string& folder, const std::string& key, const KeptPlan& kept) {
    if (folder.empty()) return;
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    const std::string file = file_of(folder, key).string(), body = key + "\n" + kept.form + "\n" + kept.name + "\n" + kept.plan;
    std::string part = file + ".XXXXXX";
    const int descriptor = mkstemp(part.data());
    if (descriptor < 0) return;
    close(descriptor);
    std::ofstream out(part, std::ios::binary);
    out << kFormat << "\n" << sum(body) << "\n" << body;
    out.close();
    if (out.fail() || std::rename(part.c_str(), file.c_str()) != 0) std::remove(part.c_str());
}

}  // namespace yolo::cuda
