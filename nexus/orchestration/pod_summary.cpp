#include "orchestration/pod_summary.hpp"

#include <fmt/format.h>

#include "orchestration/json_read.hpp"

namespace nexus::orchestration {

PodSummaryPtr PodSummaries::of(const ObjectPtr& pod) {
  PodSummaryPtr& cached = by_uid_[text(at(pod->json, "metadata"), "uid")];
  if (cached == nullptr || cached->object->revision != pod->revision) {
    auto summary = std::make_shared<PodSummary>();
    summary->object = pod;
    summary->meta = read_metadata(pod->json);
    summary->state = read_pod_state(pod->json);
    cached = std::move(summary);
  }
  return cached;
}

void PodSummaries::erase(const ObjectPtr& pod) {
  by_uid_.erase(text(at(pod->json, "metadata"), "uid"));
}

std::vector<PodSummaryPtr> PodSummaries::in(const ObjectView& view, const std::string& name_space) {
  std::vector<PodSummaryPtr> out;
  for_each_in(view, "Pod", name_space, [&](const ObjectPtr& pod) { out.push_back(of(pod)); });
  return out;
}

OwnedPods claim(const std::vector<PodSummaryPtr>& pods, const std::string& owner_uid,
                const manifest::LabelSelector& selector) {
  OwnedPods out;
  for (const PodSummaryPtr& pod : pods) {
    const OwnerReference* owner = pod->meta.controller();
    if (owner != nullptr && owner->uid == owner_uid) {
      out.owned.push_back(pod);
    } else if (owner == nullptr && pod->state.active() && selector.matches(pod->meta.labels)) {
      out.orphans.push_back(pod);
    }
  }
  return out;
}

std::string generated_name(std::string_view base, std::string_view suffix) {
  static constexpr std::size_t kLabelMax = 63;
  const std::size_t room = kLabelMax - suffix.size() - 1;
  return fmt::format("{}-{}", base.substr(0, room), suffix);
}

Json pod_from_template(const Json& pod_template, const Json& owner, std::string name) {
  Json pod{{"apiVersion", "v1"}, {"kind", "Pod"}};
  Json meta = at(pod_template, "metadata");
  if (!meta.is_object()) meta = Json::object();
  for (const char* key :
       {"name", "namespace", "uid", "creationTimestamp", "resourceVersion", "generation"}) {
    meta.erase(key);
  }
  const Metadata owner_meta = read_metadata(owner);
  meta["name"] = std::move(name);
  meta["generateName"] = owner_meta.name + "-";
  meta["namespace"] = owner_meta.name_space;
  meta["ownerReferences"] = Json::array({to_json(controller_reference(owner))});
  pod["metadata"] = std::move(meta);
  pod["spec"] = at(pod_template, "spec");
  pod["status"] = {{"phase", "Pending"}};
  return pod;
}

}  // namespace nexus::orchestration
