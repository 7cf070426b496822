#include "api/route.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

namespace nexus::api {
namespace {

using manifest::KindInfo;
using manifest::Verb;

constexpr std::size_t kNameBytesMax = 253;

/// A route that is not about an object of a kind. In patterns {ns}, {name} and {parameter} stand
/// for one segment, {rest} for all that follow.
struct Fixed {
  std::string_view method, pattern;
  Endpoint endpoint;
  AccessVerb verb;
  std::string_view resource, subresource{};
  bool open_to_all = false;
};

constexpr auto kGet = AccessVerb::Get;
constexpr auto kList = AccessVerb::List;
constexpr auto kCreate = AccessVerb::Create;
constexpr auto kUpdate = AccessVerb::Update;
constexpr auto kDelete = AccessVerb::Delete;

constexpr Fixed kFixed[] = {
    {"GET", "healthz", Endpoint::Healthy, kGet, "", "", true},
    {"GET", "livez", Endpoint::Healthy, kGet, "", "", true},
    {"GET", "readyz", Endpoint::Ready, kGet, "", "", true},
    {"GET", "metrics", Endpoint::Metrics, kGet, "metrics"},
    {"GET", "version", Endpoint::Version, kGet, "discovery"},
    {"GET", "api", Endpoint::ApiVersions, kGet, "discovery"},
    {"GET", "apis", Endpoint::ApiGroups, kGet, "discovery"},
    {"GET", "apis/{parameter}", Endpoint::ApiGroup, kGet, "discovery"},
    {"GET", "openapi/v3", Endpoint::OpenApiIndex, kGet, "discovery"},
    {"GET", "openapi/v3/{rest}", Endpoint::OpenApiGroup, kGet, "discovery"},
    {"GET", "apis/hypermesh.io/v1", Endpoint::ApiResources, kGet, "discovery"},
    {"GET", "apis/hypermesh.io/v1/node", Endpoint::Node, kGet, "node"},
    {"GET", "apis/hypermesh.io/v1/whoami", Endpoint::WhoAmI, kGet, "whoami"},
    {"GET", "apis/hypermesh.io/v1/can-i", Endpoint::CanI, kGet, "whoami"},
    {"GET", "apis/hypermesh.io/v1/ps", Endpoint::Ps, kList, "ps"},
    {"GET", "apis/hypermesh.io/v1/why/{ns}/{parameter}/{name}", Endpoint::Why, kGet, "why"},
    {"GET", "apis/hypermesh.io/v1/deployments/{ns}/{name}/history", Endpoint::History, kGet,
     "deployments", "history"},
    {"POST", "apis/hypermesh.io/v1/deployments/{ns}/{name}/rollback", Endpoint::Rollback, kUpdate,
     "deployments", "rollback"},
    {"POST", "apis/hypermesh.io/v1/deployments/{ns}/{name}/restart", Endpoint::Restart, kUpdate,
     "deployments", "restart"},
    {"POST", "apis/hypermesh.io/v1/deployments/{ns}/{name}/pause", Endpoint::Pause, kUpdate,
     "deployments", "pause"},
    {"POST", "apis/hypermesh.io/v1/deployments/{ns}/{name}/resume", Endpoint::Resume, kUpdate,
     "deployments", "resume"},
    {"GET", "apis/hypermesh.io/v1/images", Endpoint::ImageList, kList, "images"},
    {"DELETE", "apis/hypermesh.io/v1/images", Endpoint::ImageRemove, kDelete, "images"},
    {"GET", "apis/hypermesh.io/v1/images/inspect", Endpoint::ImageInspect, kGet, "images",
     "inspect"},
    {"POST", "apis/hypermesh.io/v1/images/pull", Endpoint::ImagePull, kCreate, "images", "pull"},
    {"POST", "apis/hypermesh.io/v1/images/import", Endpoint::ImageImport, kCreate, "images",
     "import"},
    {"GET", "apis/hypermesh.io/v1/images/export", Endpoint::ImageExport, kGet, "images", "export"},
    {"POST", "apis/hypermesh.io/v1/images/gc", Endpoint::ImageGc, kDelete, "images", "gc"},
    {"GET", "apis/hypermesh.io/v1/top", Endpoint::Top, kGet, "top"},
    {"GET", "apis/hypermesh.io/v1/doctor", Endpoint::Doctor, kGet, "doctor"},
    {"GET", "apis/hypermesh.io/v1/config/effective", Endpoint::ConfigEffective, kGet, "config"},
    {"GET", "apis/hypermesh.io/v1/pods/{ns}/{name}/files", Endpoint::FilesRead, kGet, "pods",
     "files"},
    {"PUT", "apis/hypermesh.io/v1/pods/{ns}/{name}/files", Endpoint::FilesWrite, kUpdate, "pods",
     "files"},
    {"GET", "apis/hypermesh.io/v1/audit", Endpoint::AuditList, kList, "audit"},
    {"GET", "apis/hypermesh.io/v1/audit/export", Endpoint::AuditExport, kList, "audit"},
    {"GET", "apis/hypermesh.io/v1/audit/{parameter}/proof", Endpoint::AuditProof, kGet, "audit"},
    {"POST", "apis/hypermesh.io/v1/audit/verify", Endpoint::AuditVerify, kGet, "audit"},
};

// Names end up in keys, logs and headers: what no object can be called is stopped here.
bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax &&
         text.find_first_of("/%\\ \"'<>") == std::string_view::npos &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

bool match(std::string_view pattern, std::span<const std::string> segments, Route& route) {
  for (std::size_t i = 0;; ++i) {
    const auto slash = std::min(pattern.find('/'), pattern.size());
    const std::string_view part = pattern.substr(0, slash);
    if (part == "{rest}") {
      if (i >= segments.size()) return false;
      for (; i < segments.size(); ++i)
        route.parameter += (route.parameter.empty() ? "" : "/") + segments[i];
      return true;
    }
    if (i >= segments.size()) return false;
    if (part == "{ns}") {
      route.name_space = segments[i];
    } else if (part == "{name}") {
      route.name = segments[i];
    } else if (part == "{parameter}") {
      route.parameter = segments[i];
    } else if (part != segments[i]) {
      return false;
    }
    if (slash == pattern.size()) return i + 1 == segments.size();
    pattern.remove_prefix(slash + 1);
  }
}

std::string join(std::span<const std::string> segments) {
  std::string path;
  for (const std::string& segment : segments) path += "/" + segment;
  return path;
}

std::unexpected<Refusal> no_such_path(const Target& target,
                                      std::string hint = "GET /apis lists what is served") {
  return refuse(base::Errc::NotFound, fmt::format("there is nothing at {}", join(target.segments)),
                std::move(hint));
}

std::unexpected<Refusal> no_such_method(std::string_view method, const Target& target,
                                        std::string_view allowed) {
  return refuse(base::Errc::Unsupported, 405, "MethodNotAllowed",
                fmt::format("{} is not served at {}; {}", method, join(target.segments),
                            allowed.empty() ? "nothing is" : fmt::format("there is {}", allowed)));
}

struct KindRoute {
  std::string_view subresource;
  std::string_view method;
  Endpoint endpoint;
  AccessVerb verb;
  Verb needed;
};

// An object of a kind and its subresources. Those of the first block are served where the kind
// serves the verb.
constexpr KindRoute kObjectRoutes[] = {
    {"", "GET", Endpoint::Object, AccessVerb::Get, Verb::Get},
    {"", "PUT", Endpoint::Object, AccessVerb::Update, Verb::Update},
    {"", "PATCH", Endpoint::Object, AccessVerb::Patch, Verb::Patch},
    {"", "DELETE", Endpoint::Object, AccessVerb::Delete, Verb::Delete},
    {"status", "GET", Endpoint::ObjectStatus, AccessVerb::Get, Verb::Get},
    {"status", "PUT", Endpoint::ObjectStatus, AccessVerb::Update, Verb::Get},
    {"status", "PATCH", Endpoint::ObjectStatus, AccessVerb::Patch, Verb::Get},
    {"scale", "GET", Endpoint::ObjectScale, AccessVerb::Get, Verb::Get},
    {"scale", "PUT", Endpoint::ObjectScale, AccessVerb::Update, Verb::Get},
    {"scale", "PATCH", Endpoint::ObjectScale, AccessVerb::Patch, Verb::Get},
    {"log", "GET", Endpoint::PodLog, AccessVerb::Get, Verb::Get},
    {"exec", "GET", Endpoint::PodExec, AccessVerb::Create, Verb::Get},
    {"exec", "POST", Endpoint::PodExec, AccessVerb::Create, Verb::Get},
    {"attach", "GET", Endpoint::PodAttach, AccessVerb::Create, Verb::Get},
    {"attach", "POST", Endpoint::PodAttach, AccessVerb::Create, Verb::Get},
    {"portforward", "GET", Endpoint::PodPortForward, AccessVerb::Create, Verb::Get},
    {"portforward", "POST", Endpoint::PodPortForward, AccessVerb::Create, Verb::Get},
};

Reply<Route> find_object_route(std::string_view method, const Target& target, Route route,
                               std::string_view subresource) {
  const KindInfo& kind = *route.kind;
  if (!subresource.empty() &&
      std::ranges::find(kind.subresources, subresource) == kind.subresources.end()) {
    return no_such_path(target,
                        fmt::format("{} have no subresource \"{}\"", kind.plural, subresource));
  }
  std::string allowed;
  for (const KindRoute& candidate : kObjectRoutes) {
    if (candidate.subresource != subresource || !kind.serves(candidate.needed)) continue;
    if (candidate.method == method) {
      route.endpoint = candidate.endpoint;
      route.access = {candidate.verb, std::string(kind.plural), std::string(subresource),
                      route.name_space, route.name};
      return route;
    }
    allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", candidate.method);
  }
  return no_such_method(method, target, allowed);
}

Reply<Route> find_collection_route(std::string_view method, const Target& target, Route route) {
  const KindInfo& kind = *route.kind;
  const bool everywhere = kind.namespaced && route.name_space.empty();
  auto watch = target.query.flag("watch");
  if (!watch) return std::unexpected(std::move(watch).error());
  route.endpoint = Endpoint::Collection;
  route.access = {AccessVerb::List, std::string(kind.plural), {}, route.name_space, {}};
  if (method == "GET" && kind.serves(*watch ? Verb::Watch : Verb::List)) {
    if (*watch) route.access.verb = AccessVerb::Watch;
    return route;
  }
  if (method == "POST" && kind.serves(Verb::Create) && !everywhere) {
    route.access.verb = AccessVerb::Create;
    return route;
  }
  if (method == "DELETE" && kind.serves(Verb::DeleteCollection) && !everywhere) {
    route.access.verb = AccessVerb::Delete;
    return route;
  }
  std::string allowed = "GET";
  if (!everywhere && kind.serves(Verb::Create)) allowed += ", POST";
  if (!everywhere && kind.serves(Verb::DeleteCollection)) allowed += ", DELETE";
  return no_such_method(method, target, allowed);
}

Reply<Route> find_kind_route(std::string_view method, const Target& target, std::string_view group,
                             std::string_view version, std::span<const std::string> rest) {
  Route route;
  // /namespaces/{ns}/{plural}... is about what is in a namespace, unless it is a subresource of it.
  if (rest.size() >= 3 && rest[0] == "namespaces" && rest[2] != "status" && rest[2] != "finalize") {
    route.name_space = rest[1];
    rest = rest.subspan(2);
    if (!is_name(route.name_space))
      return bad_request(fmt::format("\"{}\" cannot be the name of a namespace", route.name_space));
  }
  route.kind = manifest::find_resource(group, version, rest[0]);
  if (route.kind == nullptr) {
    const auto known = manifest::resolve_kind(rest[0]);
    std::string hint;
    if (known) {
      hint = fmt::format("{} are at {}{}/{}", (*known)->plural,
                         (*known)->group.empty() ? "/api" : "/apis/", (*known)->group,
                         (*known)->group.empty() ? "v1" : (*known)->version);
    } else if (!known.error().hints.empty()) {
      hint = known.error().hints.front();
    }
    return no_such_path(target, hint.empty() ? "GET /apis lists what is served" : hint);
  }
  if (route.kind->namespaced && route.name_space.empty() && rest.size() > 1) {
    return no_such_path(
        target,
        fmt::format("{} are in namespaces: .../namespaces/NAMESPACE/{}/NAME", rest[0], rest[0]));
  }
  if (!route.kind->namespaced && !route.name_space.empty()) {
    return no_such_path(target, fmt::format("{} are in no namespace", rest[0]));
  }
  if (rest.size() == 1) return find_collection_route(method, target, std::move(route));
  route.name = rest[1];
  if (!is_name(route.name))
    return bad_request(fmt::format("\"{}\" cannot be the name of an object", route.name));
  if (rest.size() > 3) return no_such_path(target);
  return find_object_route(method, target, std::move(route),
                           rest.size() == 3 ? std::string_view(rest[2]) : std::string_view());
}

}  // namespace

Reply<Route> find_route(std::string_view method, const Target& target) {
  const std::span<const std::string> segments(target.segments);
  std::string allowed;
  for (const Fixed& fixed : kFixed) {
    Route route;
    if (!match(fixed.pattern, segments, route)) continue;
    if (fixed.method != method) {
      allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", fixed.method);
      continue;
    }
    for (const std::string* name : {&route.name_space, &route.name}) {
      if (!name->empty() && !is_name(*name))
        return bad_request(fmt::format("\"{}\" cannot be a name", *name));
    }
    route.endpoint = fixed.endpoint;
    route.access = {fixed.verb, std::string(fixed.resource), std::string(fixed.subresource),
                    route.name_space, route.name};
    route.open_to_all = fixed.open_to_all;
    return route;
  }
  if (!allowed.empty()) return no_such_method(method, target, allowed);

  std::string_view group, version;
  std::size_t prefix = 0;
  if (segments.size() >= 2 && segments[0] == "api") {
    version = segments[1];
    prefix = 2;
  } else if (segments.size() >= 3 && segments[0] == "apis" && segments[1] != "hypermesh.io") {
    group = segments[1];
    version = segments[2];
    prefix = 3;
  }
  if (prefix == 0) return no_such_path(target);
  if (segments.size() == prefix) {
    const bool served = std::ranges::any_of(manifest::served_kinds(), [&](const KindInfo& kind) {
      return kind.group == group && kind.version == version;
    });
    if (!served) return no_such_path(target);
    if (method != "GET") return no_such_method(method, target, "GET");
    Route route;
    route.endpoint = Endpoint::ApiResources;
    route.access = {AccessVerb::Get, "discovery", {}, {}, {}};
    route.parameter = group.empty() ? std::string(version) : fmt::format("{}/{}", group, version);
    return route;
  }
  return find_kind_route(method, target, group, version, segments.subspan(prefix));
}

}  // namespace nexus::api
