#include "cuda/gpu/algorithms.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>
#include <utility>

#include "cuda/gpu/candidate_times.h"
#include "cuda/gpu/current.h"
#include "cuda/gpu/plan_store.h"

namespace yolo::cuda::cudnn {
namespace {

struct Request {
    const ConvProblem& problem;
    ConvPass pass;
    const Epilogue& epilogue;
    const ConvSettings& settings;
};

// All that an algorithm depends on, in one line.
std::string key_of(const Request& request) {
    const ConvProblem& p = request.problem;
    const Epilogue& after = request.epilogue;
    std::ostringstream text;
    const auto end = [&](const char* name, const ConvMap& map) {
        text << name << map.channels << "x" << map.height << "x" << map.width << "/" << map.pitch;
    };
    const auto pair = [&](const char* name, const std::array<int64_t, 2>& two) {
        text << name << two[0] << "," << two[1];
    };
    const std::string& described = request.settings.device;
    text << (described.empty() ? description(current_device()) : described) << "; cuDNN " << Library::get().version() << "; pass "
         << static_cast<int>(request.pass) << ", number " << static_cast<int>(p.number) << ", images " << p.images
         << ", groups " << p.groups;
    end(", source ", p.source), end(", target ", p.target);
    pair(", kernel ", p.kernel), pair(", stride ", p.stride);
    pair(", padding ", p.padding), pair(", dilation ", p.dilation);
    text << "; bias " << after.bias << ", activation " << after.activation << ", residual " << after.residual << "/"
         << after.residual_pitch << "; tf32 " << request.settings.tf32 << ", timed " << request.settings.timed
         << ", workspace " << request.settings.workspace;
    std::string key = text.str();
    std::replace(key.begin(), key.end(), '\n', ' ');
    return key;
}

// The best first. What is fused saves a pass over the target; packing costs one over each map that has gaps.
std::vector<Form> forms_of(const Request& request) {
    const ConvProblem& p = request.problem;
    const bool gaps = p.source.pitch != p.source.channels || p.target.pitch != p.target.channels;
    std::vector<Form> forms;
    if (request.pass == ConvPass::forward && fusible(request.epilogue)) forms.push_back({true, false, false});
    for (const bool packed : {false, true}) {
        if (packed && !gaps) continue;
        if (request.pass == ConvPass::weight_gradient) forms.push_back({false, packed, true});
        const bool narrow = request.pass != ConvPass::weight_gradient || p.number != Number::float32;
        if (narrow) forms.push_back({false, packed, false});
    }
    return forms;
}

std::string text_of(const Form& form) {
    std::string text;
    for (const bool flag : {form.fused, form.packed, form.wide_weights}) text += flag ? '1' : '0';
    return text;
}

std::string name_of(int64_t engine, const std::vector<int>& notes, const Form& form) {
    const bool cores = std::count(notes.begin(), notes.end(), CUDNN_NUMERICAL_NOTE_TENSOR_CORE) > 0;
    return "cuDNN engine " + std::to_string(engine) + (cores ? ", tensor cores" : "") +
           (form.fused ? ", with its epilogue" : "") + (form.packed ? ", maps packed" : "");
}

std::vector<Descriptor> configurations(const Descriptor& graph, HeurMode mode) {
    Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    const Descriptor* const described = Library::get().described();
    if (described != nullptr) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *described);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
        .set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode)
        .finish();
    const int64_t count = heuristics.count(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR);
    std::vector<Descriptor> found;
    std::vector<void*> raw;
    for (int64_t i = 0; i < count; ++i) {
        found.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
        raw.push_back(found.back().raw());
    }
    const int64_t filled =
        heuristics.read(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, raw.data());
    while (static_cast<int64_t>(found.size()) > filled) found.pop_back();
    return found;
}

bool exact_enough(const std::vector<int>& notes, const Request& request) {
    std::vector<int> refused{CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION};
    if (request.problem.number == Number::float32 && !request.settings.tf32) {
        refused.insert(refused.end(), {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS,
                                       CUDNN_NUMERICAL_NOTE_WINOGRAD});
    }
    return std::find_first_of(notes.begin(), notes.end(), refused.begin(), refused.end()) == notes.end();
}

Descriptor unfinished_plan() {
    Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    const Library& library = Library::get();
    if (library.handle() != nullptr) {
        plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, library.handle());
    } else {
        plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *library.described());
    }
    return plan;
}

// Of a configuration that will do; raises Refusal for another one.
Algorithm finished(const Descriptor& configuration, const Form& form, const Request& request) {
    const Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    void* raw = engine.raw();
    configuration.read(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &raw);
    std::vector<int> notes(64);
    const auto most = static_cast<int64_t>(notes.size());
    notes.resize(static_cast<size_t>(std::min(
        most, engine.read(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, most, notes.data()))));
    if (!exact_enough(notes, request)) throw Refusal("cuDNN: engines that would do are not exact or not deterministic");
    const std::string name = name_of(engine.number(CUDNN_ATTR_ENGINE_GLOBAL_INDEX), notes, form);
    Descriptor plan = unfinished_plan();
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration).finish();
    Algorithm made{form, std::move(plan), name, operands(request.epilogue, form)};
    if (made.workspace_bytes() > request.settings.workspace) {
        throw Refusal("cuDNN: engines that would do need more than " + std::to_string(request.settings.workspace) +
                      " bytes of workspace");
    }
    return made;
}

// The first ones of a list of cuDNN's that will do, none where the list is not for such a convolution. `why`: the last
// refusal.
std::vector<Algorithm> candidates(const Request& request, const Form& form, const Descriptor& graph, HeurMode mode,
                                  std::string& why) {
    const bool here = Library::get().described() == nullptr;  // or else nothing can be timed
    const size_t wanted = here ? static_cast<size_t>(std::max(1, request.settings.timed)) : 1;
    std::vector<Algorithm> found;
    try {
        for (const Descriptor& configuration : configurations(graph, mode)) {
            try {
                found.push_back(finished(configuration, form, request));
            } catch (const Refusal& refusal) {
                why = refusal.what();
            }
            if (found.size() == wanted) break;
        }
    } catch (const Refusal& refusal) {
        why = refusal.what();
    }
    return found;
}

// Of the first list that has any: the first candidate, or the fastest of some.
std::optional<Algorithm> search(const Request& request, const Form& form, std::string& why) {
    try {
        const ConvGraph made = conv_graph(request.problem, request.pass, request.epilogue, form);
        for (const HeurMode mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) {
            std::vector<Algorithm> all = candidates(request, form, made.graph, mode, why);
            if (!all.empty()) return std::move(all[fastest(all, request.problem, request.epilogue)]);
        }
    } catch (const Refusal& refusal) {
        why = refusal.what();
    }
    return std::nullopt;
}

Algorithm searched(const Request& request) {
    std::string why = "it names no engine";
    for (const Form& form : forms_of(request)) {
        if (std::optional<Algorithm> found = search(request, form, why)) return std::move(*found);
    }
    const ConvProblem& p = request.problem;
    const char* const numbers[] = {"float32", "bfloat16", "float16"};
    throw DeviceError(std::string("cuDNN has no algorithm for a convolution of ") +
                      numbers[static_cast<size_t>(p.number)] + ", " + std::to_string(p.source.channels) + " to " +
                      std::to_string(p.target.channels) + " channels: " + why);
}

std::optional<Algorithm> kept(const Request& request, const std::string& key) {
    const std::optional<KeptPlan> file = kept_plan(request.settings.plans, key);
    if (!file) return std::nullopt;
    for (const Form& form : forms_of(request)) {
        if (text_of(form) != file->form) continue;
        try {
            Descriptor plan = unfinished_plan();
            plan.set(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                     static_cast<int64_t>(file->plan.size()), file->plan.data());
            plan.finish();
            return Algorithm{form, std::move(plan), file->name, operands(request.epilogue, form)};
        } catch (const Refusal&) {  // it is looked for again
        }
    }
    return std::nullopt;
}

void keep(const Request& request, const std::string& key, const Algorithm& found) {
    if (request.settings.plans.empty()) return;
    try {
        constexpr Attribute kText = CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION;
        std::string plan(static_cast<size_t>(found.plan.count(kText, CUDNN_TYPE_CHAR)), '\0');
        plan.resize(static_cast<size_t>(
            found.plan.read(kText, CUDNN_TYPE_CHAR, static_cast<int64_t>(plan.size()), plan.data())));
        keep_plan(request.settings.plans, key, {text_of(found.form), found.name, plan});
    } catch (const Refusal&) {  // engines that cannot be written are looked for each time
    }
}

// What convolutions of this process have now.
struct Shared {
    std::mutex mutex;
    std::map<std::string, std::weak_ptr<const Algorithm>> algorithms;
};

Shared& shared() {
    static auto* const one = new Shared;
    return *one;
}

}  // namespace

void Algorithm::run(const std::vector<void*>& addresses, void* workspace, Stream stream) const {
    Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, operands)
        .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, static_cast<int64_t>(addresses.size()),
             addresses.data())
        .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace)
        .finish();
    Library::get().execute(plan.raw(), pack.raw(), stream);
}

std::shared_ptr<const Algorithm> algorithm(const ConvProblem& problem, ConvPass pass, const Epilogue& epilogue,
                                           const ConvSettings& settings) {
    const Request request{problem, pass, epilogue, settings};
    Library::load(settings.library, settings.device);
    const std::string key = key_of(request);
    const std::lock_guard<std::mutex> lock(shared().mutex);  // also since one thread at a time may ask for list B
    std::weak_ptr<const Algorithm>& place = shared().algorithms[key];
    if (auto there = place.lock()) return there;
    std::optional<Algorithm> found = kept(request, key);
    if (!found) {
        found = searched(request);
        keep(request, key, *found);
    }
    auto made = std::make_shared<const Algorithm>(std::move(*found));
    place = made;
    return made;
}

}  // namespace yolo::cuda::cudnn
