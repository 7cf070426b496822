#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "orchestration/object_view.hpp"
#include "orchestration/pod.hpp"

namespace nexus::orchestration {

/// What planners count of one pod.
struct PodSummary {
  ObjectPtr object;
  Metadata meta;
  PodState state;
};
using PodSummaryPtr = std::shared_ptr<const PodSummary>;

/// Summaries of pods, each made once for each revision of its object.
class PodSummaries {
 public:
  PodSummaryPtr of(const ObjectPtr& pod);
  void erase(const ObjectPtr& pod);
  /// Of one namespace.
  std::vector<PodSummaryPtr> in(const ObjectView& view, const std::string& name_space);

 private:
  std::unordered_map<std::string, PodSummaryPtr> by_uid_;
};

/// The pods that `owner_uid` manages, and those that match `selector` and nobody manages.
struct OwnedPods {
  std::vector<PodSummaryPtr> owned, orphans;
};
OwnedPods claim(const std::vector<PodSummaryPtr>& pods, const std::string& owner_uid,
                const manifest::LabelSelector& selector);

/// `count` random characters after "<base>-", cut so that the name stays a DNS label.
std::string generated_name(std::string_view base, std::string_view suffix);

/// A new pod from `pod_template`, managed by `owner`.
Json pod_from_template(const Json& pod_template, const Json& owner, std::string name);

}  // namespace nexus::orchestration
