#pragma once

// Objects by the names that people give them, and where the API keeps them.

#include <manifest/kinds.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "session/session.hpp"

namespace cli {

using nexus::manifest::KindInfo;

struct ObjectName {
  const KindInfo* kind = nullptr;
  std::string name;
  /// "deployment/web"
  std::string text() const;
};

/// kubectl's grammar: "KIND NAME...", "KIND,KIND NAME...", "KIND/NAME...", or only names where
/// `otherwise` is the kind that they are of. A kind without names gives entries with empty names
/// (all of the kind). Errors: InvalidArgument, Unsupported (kinds that are not served).
base::Result<std::vector<ObjectName>> parse_objects(std::span<const std::string> words,
                                                    const KindInfo* otherwise = nullptr);

const KindInfo& kind_named(std::string_view kind);

/// "/apis/apps/v1/namespaces/default/deployments/web"; without a name the list, without a namespace
/// all of them.
std::string kind_path(const KindInfo& kind, std::string_view name_space, std::string_view name,
                      const Query& query = {});
/// `path` with a query; entries without a value are left out.
std::string with_query(std::string path, const Query& query);
/// Our own resources: "/apis/hypermesh.io/v1/...".
std::string own_path(std::initializer_list<std::string_view> segments, const Query& query = {});

/// All entries of a list, page by page.
base::Result<Json::array_t> list_all(Api& api, const KindInfo& kind, std::string_view name_space,
                                     Query query = {});

/// The revision that a list shows now: where a watch goes on.
base::Result<std::string> list_version(Api& api, const KindInfo& kind, std::string_view name_space);

/// "deployment/web" of an object as the API gives it.
std::string object_text(const Json& object);

/// The age of an RFC 3339 time, or "" when it is none.
std::string age_of(const base::Clock& clock, const std::string& time);

/// Errors: NotFound ("deployment/web does not exist in namespace default"), with the nearest name
/// that does.
base::Error with_nearest_name(Session& session, Api& api, const ObjectName& object,
                              std::string_view name_space, base::Error error);

/// "Events:" and a table of what happened to an object, oldest first; "Events: none" without any.
base::Result<std::string> events_of(Session& session, Api& api, const Json& object);

/// The pods of a workload, a ready one first. `name` is a pod, or a Deployment, ReplicaSet or Job;
/// "kind/name" is understood. Errors: NotFound (no such pod or workload), FailedPrecondition (it
/// has no pods).
struct PodChoice {
  std::string workload;    ///< "" when a pod was named.
  std::vector<Json> pods;  ///< Items of `ps`, at least one.
};
base::Result<PodChoice> pods_of(Session& session, Api& api, std::string_view name_space,
                                std::string_view name);
/// The pod to work on; says on standard error which one when a workload was named.
base::Result<std::string> choose_pod(Session& session, Api& api, std::string_view name_space,
                                     std::string_view name);

}  // namespace cli
