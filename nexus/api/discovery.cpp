#include "api/discovery.hpp"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "manifest/explain.hpp"
#include "manifest/kinds.hpp"

namespace nexus::api {
namespace {

using manifest::KindInfo;
using manifest::Verb;

constexpr std::string_view kOurGroup = "hypermesh.io";
constexpr std::array<std::pair<Verb, std::string_view>, 8> kVerbs = {
    {{Verb::Create, "create"},
     {Verb::Delete, "delete"},
     {Verb::DeleteCollection, "deletecollection"},
     {Verb::Get, "get"},
     {Verb::List, "list"},
     {Verb::Patch, "patch"},
     {Verb::Update, "update"},
     {Verb::Watch, "watch"}}};

Json group_document(std::string_view group, std::string_view version) {
  const Json served = {{"groupVersion", fmt::format("{}/{}", group, version)},
                       {"version", version}};
  return {{"name", group}, {"versions", Json::array({served})}, {"preferredVersion", served}};
}

Json resource(const KindInfo& kind) {
  Json verbs = Json::array();
  for (const auto& [verb, name] : kVerbs) {
    if (kind.serves(verb)) verbs.push_back(name);
  }
  Json entry = {{"name", kind.plural},
                {"singularName", kind.singular},
                {"namespaced", kind.namespaced},
                {"kind", kind.kind},
                {"verbs", std::move(verbs)}};
  if (!kind.short_names.empty())
    entry["shortNames"] =
        std::vector<std::string>(kind.short_names.begin(), kind.short_names.end());
  if (!kind.categories.empty())
    entry["categories"] = std::vector<std::string>(kind.categories.begin(), kind.categories.end());
  return entry;
}

Json subresource(const KindInfo& kind, std::string_view name) {
  Json entry = {{"name", fmt::format("{}/{}", kind.plural, name)},
                {"singularName", ""},
                {"namespaced", kind.namespaced},
                {"kind", kind.kind}};
  if (name == "status") {
    entry["verbs"] = {"get", "patch", "update"};
  } else if (name == "scale") {
    entry["verbs"] = {"get", "patch", "update"};
    entry["group"] = "autoscaling";
    entry["version"] = "v1";
    entry["kind"] = "Scale";
  } else if (name == "log") {
    entry["verbs"] = Json::array({"get"});
  } else {
    entry["verbs"] = {"create", "get"};
    entry["kind"] = name == "exec"     ? "PodExecOptions"
                    : name == "attach" ? "PodAttachOptions"
                                       : "PodPortForwardOptions";
  }
  return entry;
}

std::string openapi_path(std::string_view version) {
  return fmt::format("{}/{}", version.find('/') == std::string_view::npos ? "api" : "apis",
                     version);
}

}  // namespace

Json api_versions() {
  return {
      {"kind", "APIVersions"}, {"versions", {"v1"}}, {"serverAddressByClientCIDRs", Json::array()}};
}

Json api_groups() {
  Json groups = Json::array();
  std::set<std::string_view> seen;
  for (const KindInfo& kind : manifest::served_kinds()) {
    if (!kind.group.empty() && seen.insert(kind.group).second)
      groups.push_back(group_document(kind.group, kind.version));
  }
  groups.push_back(group_document(kOurGroup, "v1"));
  return {{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", std::move(groups)}};
}

Reply<Json> api_group(std::string_view group) {
  std::string_view version;
  for (const KindInfo& kind : manifest::served_kinds()) {
    if (!group.empty() && kind.group == group) version = kind.version;
  }
  if (group == kOurGroup) version = "v1";
  if (version.empty())
    return refuse(base::Errc::NotFound, fmt::format("there is no group \"{}\"", group),
                  "GET /apis lists the groups");
  Json document = group_document(group, version);
  document["kind"] = "APIGroup";
  document["apiVersion"] = "v1";
  return document;
}

Json api_resources(std::string_view group_version) {
  Json resources = Json::array();
  for (const KindInfo& kind : manifest::served_kinds()) {
    if (kind.api_version() != group_version) continue;
    resources.push_back(resource(kind));
    for (const std::string_view name : kind.subresources)
      resources.push_back(subresource(kind, name));
  }
  return {{"kind", "APIResourceList"},
          {"apiVersion", "v1"},
          {"groupVersion", group_version},
          {"resources", std::move(resources)}};
}

Json openapi_index() {
  Json paths = Json::object();
  for (const std::string& version : manifest::openapi_versions()) {
    const std::string path = openapi_path(version);
    paths[path] = {{"serverRelativeURL", fmt::format("/openapi/v3/{}", path)}};
  }
  return {{"paths", std::move(paths)}};
}

Reply<Json> openapi_document(std::string_view path) {
  for (const std::string& version : manifest::openapi_versions()) {
    if (openapi_path(version) == path) return manifest::openapi_v3(version);
  }
  return refuse(base::Errc::NotFound, fmt::format("there is no schema of {}", path),
                "GET /openapi/v3 lists them");
}

}  // namespace nexus::api
