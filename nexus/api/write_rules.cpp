#include "api/write_rules.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "access/pod_privileges.hpp"
#include "manifest/admit.hpp"

namespace nexus::api {
namespace {

constexpr std::size_t kCausesMax = 100;

std::string text_at(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Reply<> check_shape(const Route& route, Json& object) {
  if (!object.is_object()) return bad_request("the body is not an object");
  const std::string kind = text_at(object, "kind"), version = text_at(object, "apiVersion");
  if (kind.empty()) object["kind"] = route.kind->kind;
  if (version.empty()) object["apiVersion"] = route.kind->api_version();
  if (!kind.empty() && kind != route.kind->kind) {
    return bad_request(
        fmt::format("the body is a {}, the path is for a {}", kind, route.kind->kind));
  }
  Json& metadata = object["metadata"];
  if (metadata.is_null()) metadata = Json::object();
  if (!metadata.is_object()) return bad_request("metadata is not an object");
  const std::string name_space = text_at(metadata, "namespace");
  if (route.kind->namespaced) {
    if (name_space.empty()) metadata["namespace"] = route.name_space;
    if (!name_space.empty() && name_space != route.name_space) {
      return bad_request(
          fmt::format("metadata.namespace is {}, the path names {}", name_space, route.name_space));
    }
  }
  return {};
}

Reply<> check_name(const Route& route, Json& object) {
  const std::string name = text_at(object["metadata"], "name");
  if (name.empty()) object["metadata"]["name"] = route.name;
  if (!name.empty() && name != route.name) {
    return bad_request(fmt::format("metadata.name is {}, the path names {}", name, route.name));
  }
  return {};
}

Refusal refusal_of(const Route& route, const manifest::Admission& admission,
                   const std::string& name) {
  Refusal refusal(manifest::to_error(admission.errors));
  // All of them are faults of the object, also those that a later version might accept.
  refusal.status = 422;
  refusal.reason = "Invalid";
  refusal.group = route.kind->group;
  refusal.resource = route.kind->plural;
  refusal.name = name;
  for (const manifest::Problem& problem : admission.errors) {
    if (refusal.causes.size() == kCausesMax) break;
    refusal.causes.push_back(
        {std::string(manifest::cause_name(problem.reason)), problem.field, problem.message});
  }
  return refusal;
}

// An administrator's leave covers the template it was given for: whoever changes the template of a
// pod that reaches the node could run anything there.
Reply<> check_privileges(const Route& route, const Json& object, const Json* existing, Role role) {
  if (role >= Role::Admin) return {};
  const std::vector<std::string> fields = pod_privileges(route.kind->kind, object);
  if (fields.empty()) return {};
  if (existing != nullptr) {
    const Json* before = pod_spec_of(route.kind->kind, *existing);
    const Json* after = pod_spec_of(route.kind->kind, object);
    if (before != nullptr && after != nullptr && *before == *after) return {};
  }
  auto refused =
      refuse(base::Errc::Forbidden,
             fmt::format("role \"{}\" may not ask for {}: it reaches beyond the pod; admin can",
                         to_string(role), fmt::join(fields, ", ")));
  for (const std::string& field : fields)
    refused.error().causes.push_back({"FieldValueForbidden", field, "only role admin may set it"});
  return refused;
}

Reply<AdmittedObject> admit(const Route& route, Json object, const Json* existing,
                            const WriteOptions& options, Role role) {
  manifest::AdmitOptions how;
  how.existing = existing;
  if (route.kind->namespaced) how.default_namespace = route.name_space;
  how.unknown_fields = options.unknown_fields == UnknownFields::Refuse
                           ? manifest::AdmitOptions::UnknownFields::Refuse
                           : manifest::AdmitOptions::UnknownFields::Drop;
  const std::string name = text_at(object["metadata"], "name");
  manifest::Admission admission = manifest::admit(std::move(object), how);
  if (!admission.accepted()) return std::unexpected(refusal_of(route, admission, name));
  if (admission.kind != route.kind) {
    return bad_request(fmt::format("the body is a {} of {}, the path is for {}",
                                   admission.kind->kind, admission.kind->api_version(),
                                   route.kind->api_version()));
  }
  if (auto allowed = check_privileges(route, admission.object, existing, role); !allowed) {
    return std::unexpected(std::move(allowed).error());
  }
  AdmittedObject admitted{std::move(admission.object), {}};
  if (options.unknown_fields != UnknownFields::Ignore) {
    for (const manifest::Problem& note : admission.notes)
      admitted.warnings.push_back(note.headline());
  }
  return admitted;
}

}  // namespace

Reply<AdmittedObject> admit_new(const Route& route, Json object, const WriteOptions& options,
                                std::string_view name_suffix, Role role) {
  if (auto shaped = check_shape(route, object); !shaped)
    return std::unexpected(std::move(shaped).error());
  Json& metadata = object["metadata"];
  if (const std::string version = text_at(metadata, "resourceVersion"); !version.empty()) {
    return bad_request("metadata.resourceVersion is set: an object that is made has none",
                       "use PUT to replace what exists");
  }
  for (const char* server :
       {"uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds",
        "managedFields", "selfLink", "resourceVersion"}) {
    metadata.erase(server);
  }
  const std::string stem = text_at(metadata, "generateName");
  if (text_at(metadata, "name").empty() && !stem.empty())
    metadata["name"] = fmt::format("{}{}", stem, name_suffix);
  auto admitted = admit(route, std::move(object), nullptr, options, role);
  // Where an object stands before anybody has looked at it.
  if (admitted && route.kind->kind == "Pod") admitted->object["status"] = {{"phase", "Pending"}};
  if (admitted && route.kind->kind == "Namespace")
    admitted->object["status"] = {{"phase", "Active"}};
  return admitted;
}

Reply<AdmittedObject> admit_change(const Route& route, Json object, const Json& existing,
                                   const WriteOptions& options, Role role) {
  if (auto shaped = check_shape(route, object); !shaped)
    return std::unexpected(std::move(shaped).error());
  if (auto named = check_name(route, object); !named)
    return std::unexpected(std::move(named).error());
  object["metadata"].erase("managedFields");
  return admit(route, std::move(object), &existing, options, role);
}

Reply<Json> with_status(const Route& route, const Json& body, const Json& existing) {
  Json named = body;
  if (auto shaped = check_shape(route, named); !shaped)
    return std::unexpected(std::move(shaped).error());
  if (auto right = check_name(route, named); !right)
    return std::unexpected(std::move(right).error());
  const auto status = body.find("status");
  if (status == body.end() || !status->is_object()) return bad_request("the body has no status");
  Json next = existing;
  next["status"] = *status;
  if (const std::string version = text_at(named["metadata"], "resourceVersion"); !version.empty()) {
    next["metadata"]["resourceVersion"] = version;
  } else {
    next["metadata"].erase("resourceVersion");
  }
  return next;
}

Reply<> check_entry(const Json& pod, Role role) {
  if (role >= Role::Admin) return {};
  const std::vector<std::string> fields = pod_privileges("Pod", pod);
  if (fields.empty()) return {};
  return refuse(
      base::Errc::Forbidden,
      fmt::format(
          "role \"{}\" may not enter this pod: {} gives it more than a pod's rights; admin can",
          to_string(role), fmt::join(fields, ", ")));
}

}  // namespace nexus::api
