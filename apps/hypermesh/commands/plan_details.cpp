#include "commands/plan_details.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace cli {
namespace {

using Mark = PlanLine::Mark;
using nexus::manifest::FieldChange;
using nexus::manifest::KindInfo;

std::string join(const std::vector<std::string>& words, std::string_view by) {
  return fmt::format("{}", fmt::join(words, by));
}

std::string images_of(const Json& pod_spec) {
  std::vector<std::string> images;
  for (const Json& container : list_at(pod_spec, {"containers"}))
    images.push_back(text_at(container, {"image"}));
  return join(images, " + ");
}

// "100m/64Mi each": what the first container asks for, or may use.
std::string resources_of(const Json& pod_spec) {
  const auto& containers = list_at(pod_spec, {"containers"});
  if (containers.empty()) return {};
  std::vector<std::string> amounts;
  for (const char* resource : {"cpu", "memory"}) {
    std::string amount = text_at(containers.front(), {"resources", "requests", resource});
    if (amount.empty()) amount = text_at(containers.front(), {"resources", "limits", resource});
    if (!amount.empty()) amounts.push_back(std::move(amount));
  }
  return amounts.empty() ? "" : fmt::format("   {} each", join(amounts, "/"));
}

std::string ports_of(const Json& service) {
  std::vector<std::string> ports;
  for (const Json& port : list_at(service, {"spec", "ports"})) {
    const std::string from = text_at(port, {"port"}), to = text_at(port, {"targetPort"});
    ports.push_back(to.empty() || to == from ? from : fmt::format("{} → {}", from, to));
  }
  if (text_at(service, {"spec", "clusterIP"}) == "None") ports.emplace_back("headless");
  if (const std::string name = text_at(service, {"spec", "externalName"}); !name.empty())
    ports.push_back("→ " + name);
  return join(ports, ", ");
}

std::size_t keys_of(const Json& object) {
  std::size_t keys = 0;
  for (const char* part : {"data", "binaryData", "stringData"})
    keys += at(object, {part}).is_object() ? at(object, {part}).size() : 0;
  return keys;
}

std::string count_keys(std::size_t keys) {
  return fmt::format("{} key{}", keys, keys == 1 ? "" : "s");
}

std::string change_text(const std::vector<FieldChange>& changes) {
  constexpr std::size_t kShownMax = 3;
  std::vector<std::string> words;
  for (const FieldChange& change : changes) {
    if (words.size() == kShownMax) break;
    words.push_back(change.text());
  }
  std::string out = join(words, "   ");
  if (changes.size() > kShownMax)
    out += fmt::format("   and {} more (hm diff shows all)", changes.size() - kShownMax);
  return out;
}

}  // namespace

std::string summary_of(const Json& object) {
  const std::string kind = text_at(object, {"kind"});
  const Json& pod_spec =
      kind == "Pod" ? at(object, {"spec"}) : at(object, {"spec", "template", "spec"});
  if (kind == "Deployment" || kind == "ReplicaSet") {
    return fmt::format("{} × {}{}", number_at(object, {"spec", "replicas"}, 1), images_of(pod_spec),
                       resources_of(pod_spec));
  }
  if (kind == "Job") {
    const std::int64_t completions = number_at(object, {"spec", "completions"}, 1);
    return fmt::format("{}{}{}", completions > 1 ? fmt::format("{} × ", completions) : "",
                       images_of(pod_spec), resources_of(pod_spec));
  }
  if (kind == "Pod") return images_of(pod_spec) + resources_of(pod_spec);
  if (kind == "Service") return ports_of(object);
  if (kind == "ConfigMap" || kind == "Secret") return count_keys(keys_of(object));
  return {};
}

PlanLine plan_line(const KindInfo& kind, const Json& before, const Json& after) {
  PlanLine line;
  line.object = fmt::format("{}/{}", kind.singular, text_at(after, {"metadata", "name"}));
  if (before.is_null()) {
    line.mark = Mark::Add;
    line.detail = summary_of(after);
    return line;
  }
  const auto changes = nexus::manifest::diff_objects(kind, before, after);
  if (changes.empty()) return line;
  line.mark = Mark::Change;
  if (kind.kind == "ConfigMap" || kind.kind == "Secret") {
    // Values are long, or secret: their number says enough.
    const bool only_data = std::ranges::all_of(changes, [](const FieldChange& change) {
      return change.path.starts_with("data") || change.path.starts_with("binaryData");
    });
    line.detail = only_data ? count_keys(changes.size()) + " changed" : change_text(changes);
    return line;
  }
  const bool rolls =
      kind.kind == "Deployment" && std::ranges::any_of(changes, [](const FieldChange& change) {
        return change.path.starts_with("spec.template.");
      });
  const std::int64_t replicas_before = number_at(before, {"spec", "replicas"}, 1),
                     replicas_after = number_at(after, {"spec", "replicas"}, 1);
  const bool fewer =
      (kind.kind == "Deployment" || kind.kind == "ReplicaSet") && replicas_after < replicas_before;
  if (rolls || fewer) line.mark = Mark::Replace;
  line.detail = change_text(changes);
  if (rolls)
    line.detail += fmt::format("   rolls {} pod{}", replicas_after, replicas_after == 1 ? "" : "s");
  return line;
}

}  // namespace cli
