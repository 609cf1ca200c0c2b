// Algorithms of convolutions that were found once, in files of their own, so that the next process need not look again.
// A file that is damaged, of another format or for something else is as good as none, and is replaced.
#pragma once

#include <optional>
#include <string>

namespace yolo::cuda {

struct KeptPlan {
    std::string form, name;  // one line each
    std::string plan;        // as cuDNN writes it
};

// `key`: one line that says all that a plan depends on: problem, device, versions. `folder`: "" for none.
std::optional<KeptPlan> kept_plan(const std::string& folder, const std::string& key);

// The file is there whole or not at all, also when processes keep the same plan at once. Where it cannot be written it
// is left out, without a word: the plan works, and only has to be found again.
void keep_plan(const std::string& folder, const std::string& key, const KeptPlan& kept);

}  // namespace yolo::cuda
