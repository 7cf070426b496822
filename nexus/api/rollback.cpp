#include "api/rollback.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <map>

#include "objects/object.hpp"
#include "orchestration/metadata.hpp"
#include "orchestration/workloads.hpp"

namespace nexus::api {
namespace {

using orchestration::Metadata;

std::int64_t number_in(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  return code == std::errc() && end == text.data() + text.size() ? number : 0;
}

/// Revisions of a replica set: the one it has, and those it had before a rollback made it current
/// again.
std::vector<std::int64_t> revisions_of(const Metadata& set) {
  std::vector<std::int64_t> all = {
      number_in(set.annotation(std::string(orchestration::kRevisionAnnotation)))};
  const std::string past = set.annotation(std::string(orchestration::kRevisionHistoryAnnotation));
  for (std::string_view rest = past; !rest.empty();) {
    const auto comma = std::min(rest.find(','), rest.size());
    all.push_back(number_in(rest.substr(0, comma)));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return all;
}

Json template_of(const Json& set) {
  Json wanted = set.at("spec").at("template");
  if (wanted.contains("metadata") && wanted["metadata"].contains("labels") &&
      wanted["metadata"]["labels"].is_object()) {
    wanted["metadata"]["labels"].erase(std::string(orchestration::kTemplateHashLabel));
  }
  return wanted;
}

}  // namespace

Reply<Json> roll_back(const Json& deployment, std::int64_t to_revision,
                      const orchestration::ObjectView& view) {
  const Metadata meta = orchestration::read_metadata(deployment);
  if (deployment.at("spec").value("paused", false)) {
    return refuse(base::Errc::FailedPrecondition, fmt::format("deployment {} is paused", meta.name),
                  fmt::format("hm update {} --resume", meta.name));
  }
  std::map<std::int64_t, ObjectPtr> sets;
  std::int64_t current = 0;
  orchestration::for_each_in(view, "ReplicaSet", meta.name_space, [&](const ObjectPtr& object) {
    const Metadata set = orchestration::read_metadata(object->json);
    const auto* owner = set.controller();
    if (owner == nullptr || owner->uid != meta.uid) return;
    const auto revisions = revisions_of(set);
    for (const std::int64_t revision : revisions) {
      if (revision > 0) sets.try_emplace(revision, object);
    }
    if (template_of(object->json) == deployment.at("spec").at("template"))
      current = std::max(current, revisions.front());
  });
  if (to_revision == 0) {
    for (const auto& [revision, set] : sets) {
      if (revision < current) to_revision = revision;
    }
    if (to_revision == 0) {
      return refuse(base::Errc::NotFound,
                    fmt::format("deployment {} has no revision before the current one", meta.name),
                    fmt::format("hm history {}", meta.name));
    }
  }
  const auto found = sets.find(to_revision);
  if (found == sets.end()) {
    std::vector<std::int64_t> known;
    for (const auto& [revision, set] : sets) known.push_back(revision);
    return refuse(base::Errc::NotFound,
                  fmt::format("deployment {} has no revision {}; it has {}", meta.name, to_revision,
                              fmt::join(known, ", ")),
                  fmt::format("hm history {}", meta.name));
  }
  Json next = deployment;
  next["spec"]["template"] = template_of(found->second->json);
  if (next == deployment) {
    return refuse(base::Errc::FailedPrecondition,
                  fmt::format("deployment {} has the template of revision {} already", meta.name,
                              to_revision));
  }
  return next;
}

}  // namespace nexus::api
