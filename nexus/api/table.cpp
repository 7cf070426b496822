#include "api/table.hpp"

#include <fmt/format.h>

#include <span>

#include "objects/object.hpp"
#include "orchestration/views.hpp"

namespace nexus::api {
namespace {

struct Column {
  std::string_view name;
  std::string_view type = "string";
  int priority = 0;  // 1: with -o wide only.
};

const Json& part(const Json& object, std::initializer_list<const char*> path) {
  static const Json kNothing;
  const Json* at = &object;
  for (const char* name : path) {
    if (!at->is_object()) return kNothing;
    const auto found = at->find(name);
    if (found == at->end()) return kNothing;
    at = &*found;
  }
  return *at;
}

std::string text(const Json& object, std::initializer_list<const char*> path,
                 std::string_view otherwise = "<none>") {
  const Json& value = part(object, path);
  return value.is_string() && !value.get_ref<const std::string&>().empty()
             ? value.get<std::string>()
             : std::string(otherwise);
}
std::int64_t number(const Json& object, std::initializer_list<const char*> path) {
  const Json& value = part(object, path);
  return value.is_number_integer() ? value.get<std::int64_t>() : 0;
}
std::size_t count(const Json& object, std::initializer_list<const char*> path) {
  const Json& value = part(object, path);
  return value.is_object() || value.is_array() ? value.size() : 0;
}

std::string age_of(const Json& value, base::WallTime now) {
  if (!value.is_string()) return "<unknown>";
  const auto time = base::parse_rfc3339(value.get_ref<const std::string&>());
  return time ? base::to_age(now - *time) : "<unknown>";
}
std::string age(const Json& object, base::WallTime now) {
  return age_of(part(object, {"metadata", "creationTimestamp"}), now);
}

std::string ports_of(const Json& service) {
  std::string out;
  const Json& ports = part(service, {"spec", "ports"});
  if (!ports.is_array()) return "<none>";
  for (const Json& port : ports) {
    const std::int64_t node = number(port, {"nodePort"});
    out += fmt::format("{}{}{}/{}", out.empty() ? "" : ",", number(port, {"port"}),
                       node == 0 ? "" : fmt::format(":{}", node), text(port, {"protocol"}, "TCP"));
  }
  return out.empty() ? "<none>" : out;
}

std::string endpoints_of(const Json& endpoints) {
  std::string out;
  std::size_t more = 0;
  const Json& subsets = part(endpoints, {"subsets"});
  if (!subsets.is_array()) return "<none>";
  for (const Json& subset : subsets) {
    const Json& addresses = part(subset, {"addresses"});
    const Json& ports = part(subset, {"ports"});
    if (!addresses.is_array() || !ports.is_array()) continue;
    for (const Json& address : addresses) {
      for (const Json& port : ports) {
        const std::string ip = text(address, {"ip"});
        if (out.size() > 60) {
          ++more;
          continue;
        }
        out +=
            fmt::format(fmt::runtime(ip.find(':') == std::string::npos ? "{}{}:{}" : "{}[{}]:{}"),
                        out.empty() ? "" : ",", ip, number(port, {"port"}));
      }
    }
  }
  if (more > 0) out += fmt::format(" + {} more...", more);
  return out.empty() ? "<none>" : out;
}

std::string job_state(const Json& job) {
  const Json& conditions = part(job, {"status", "conditions"});
  if (conditions.is_array()) {
    for (const Json& condition : conditions) {
      const std::string type = text(condition, {"type"}, "");
      if ((type == "Complete" || type == "Failed" || type == "Suspended") &&
          text(condition, {"status"}, "") == "True")
        return type;
    }
  }
  return "Running";
}

std::string node_state(const Json& node) {
  std::string state = "NotReady";
  const Json& conditions = part(node, {"status", "conditions"});
  if (conditions.is_array()) {
    for (const Json& condition : conditions) {
      if (text(condition, {"type"}, "") == "Ready" && text(condition, {"status"}, "") == "True")
        state = "Ready";
    }
  }
  const Json& cordoned = part(node, {"spec", "unschedulable"});
  return cordoned.is_boolean() && cordoned.get<bool>() ? state + ",SchedulingDisabled" : state;
}

struct Layout {
  std::string_view kind;
  std::vector<Column> columns;
  Json (*cells)(const Json& object, base::WallTime now);
};

std::string name(const Json& object) {
  return text(object, {"metadata", "name"});
}

Json pod_cells(const Json& pod, base::WallTime now) {
  const orchestration::PodRow row = orchestration::pod_row(pod, 0);
  std::string restarts = std::to_string(row.restarts);
  if (row.last_restart) restarts += fmt::format(" ({} ago)", base::to_age(now - *row.last_restart));
  const auto or_none = [](const std::string& value) { return value.empty() ? "<none>" : value; };
  return {row.name,         fmt::format("{}/{}", row.ready_containers, row.containers),
          row.state,        restarts,
          age(pod, now),    or_none(row.ip),
          or_none(row.node)};
}
Json deployment_cells(const Json& object, base::WallTime now) {
  return {name(object),
          fmt::format("{}/{}", number(object, {"status", "readyReplicas"}),
                      number(object, {"spec", "replicas"})),
          number(object, {"status", "updatedReplicas"}),
          number(object, {"status", "availableReplicas"}), age(object, now)};
}
Json replica_set_cells(const Json& object, base::WallTime now) {
  return {name(object), number(object, {"spec", "replicas"}),
          number(object, {"status", "replicas"}), number(object, {"status", "readyReplicas"}),
          age(object, now)};
}
Json job_cells(const Json& object, base::WallTime now) {
  const Json& wanted = part(object, {"spec", "completions"});
  return {name(object), job_state(object),
          fmt::format("{}/{}", number(object, {"status", "succeeded"}),
                      wanted.is_number_integer() ? wanted.get<std::int64_t>() : 1),
          age(object, now)};
}
Json service_cells(const Json& object, base::WallTime now) {
  return {name(object),
          text(object, {"spec", "type"}, "ClusterIP"),
          text(object, {"spec", "clusterIP"}),
          text(object, {"spec", "externalName"}),
          ports_of(object),
          age(object, now)};
}
Json config_map_cells(const Json& object, base::WallTime now) {
  return {name(object), count(object, {"data"}) + count(object, {"binaryData"}), age(object, now)};
}
Json secret_cells(const Json& object, base::WallTime now) {
  return {name(object), text(object, {"type"}, "Opaque"), count(object, {"data"}),
          age(object, now)};
}
Json namespace_cells(const Json& object, base::WallTime now) {
  return {name(object), text(object, {"status", "phase"}, "Active"), age(object, now)};
}
Json node_cells(const Json& object, base::WallTime now) {
  return {name(object), node_state(object), age(object, now),
          text(object, {"status", "nodeInfo", "kubeletVersion"}, "")};
}
Json endpoints_cells(const Json& object, base::WallTime now) {
  return {name(object), endpoints_of(object), age(object, now)};
}
Json event_cells(const Json& object, base::WallTime now) {
  return {age_of(part(object, {"lastTimestamp"}), now), text(object, {"type"}),
          text(object, {"reason"}),
          fmt::format("{}/{}", text(object, {"involvedObject", "kind"}, ""),
                      text(object, {"involvedObject", "name"}, "")),
          text(object, {"message"}, "")};
}
Json other_cells(const Json& object, base::WallTime now) {
  return {name(object), age(object, now)};
}

const Layout& layout_of(std::string_view kind) {
  static const std::vector<Layout> kLayouts = {
      {"Pod",
       {{"Name"},
        {"Ready"},
        {"Status"},
        {"Restarts"},
        {"Age"},
        {"IP", "string", 1},
        {"Node", "string", 1}},
       pod_cells},
      {"Deployment",
       {{"Name"}, {"Ready"}, {"Up-to-date", "integer"}, {"Available", "integer"}, {"Age"}},
       deployment_cells},
      {"ReplicaSet",
       {{"Name"}, {"Desired", "integer"}, {"Current", "integer"}, {"Ready", "integer"}, {"Age"}},
       replica_set_cells},
      {"Job", {{"Name"}, {"Status"}, {"Completions"}, {"Age"}}, job_cells},
      {"Service",
       {{"Name"}, {"Type"}, {"Cluster-IP"}, {"External-IP"}, {"Port(s)"}, {"Age"}},
       service_cells},
      {"ConfigMap", {{"Name"}, {"Data", "integer"}, {"Age"}}, config_map_cells},
      {"Secret", {{"Name"}, {"Type"}, {"Data", "integer"}, {"Age"}}, secret_cells},
      {"Namespace", {{"Name"}, {"Status"}, {"Age"}}, namespace_cells},
      {"Node", {{"Name"}, {"Status"}, {"Age"}, {"Version"}}, node_cells},
      {"Endpoints", {{"Name"}, {"Endpoints"}, {"Age"}}, endpoints_cells},
      {"Event", {{"Last Seen"}, {"Type"}, {"Reason"}, {"Object"}, {"Message"}}, event_cells},
      {"", {{"Name"}, {"Age"}}, other_cells},
  };
  for (const Layout& layout : kLayouts) {
    if (layout.kind == kind) return layout;
  }
  return kLayouts.back();
}

}  // namespace

Json make_table(const manifest::KindInfo& kind, const std::vector<ObjectPtr>& objects,
                Revision revision, const std::string& continue_token, base::WallTime now) {
  const Layout& layout = layout_of(kind.kind);
  Json columns = Json::array();
  for (const Column& column : layout.columns) {
    columns.push_back({{"name", column.name},
                       {"type", column.type},
                       {"format", column.name == "Name" ? "name" : ""},
                       {"description", ""},
                       {"priority", column.priority}});
  }
  Json rows = Json::array();
  for (const ObjectPtr& object : objects) {
    rows.push_back({{"cells", layout.cells(object->json, now)},
                    {"object",
                     {{"kind", "PartialObjectMetadata"},
                      {"apiVersion", "meta.k8s.io/v1"},
                      {"metadata", part(object->json, {"metadata"})}}}});
  }
  Json metadata = {{"resourceVersion", std::to_string(revision)}};
  if (!continue_token.empty()) metadata["continue"] = continue_token;
  return {{"kind", "Table"},
          {"apiVersion", "meta.k8s.io/v1"},
          {"metadata", std::move(metadata)},
          {"columnDefinitions", std::move(columns)},
          {"rows", std::move(rows)}};
}

}  // namespace nexus::api
