#include "manifest/admit.hpp"

#include <fmt/format.h>

#include "manifest/rules.hpp"
#include "manifest/schema.hpp"
#include "manifest/structure.hpp"

namespace nexus::manifest {

namespace {

View root_of(const Json& object) {
  return {&object, FieldPath()};
}

/// What an old version of a kind leaves to defaults that the present one does not have.
void convert_old(const std::string& from, const KindInfo& kind, Json& object, Report& report) {
  object["apiVersion"] = kind.api_version();
  report.note(root_of(object)["apiVersion"].path(),
              fmt::format("{} is an old version and was read as {}", from, kind.api_version()));
  const auto spec = object.find("spec");
  if (spec == object.end() || !spec->is_object()) return;
  const bool selects = kind.kind == "Deployment" || kind.kind == "ReplicaSet";
  if (selects && !spec->contains("selector")) {
    const View labels = View(&*spec, {})["template"]["metadata"]["labels"];
    if (labels.is_object()) (*spec)["selector"] = {{"matchLabels", labels.json()}};
  }
  if (kind.kind == "Deployment" && spec->contains("rollbackTo")) {
    report.note(root_of(object)["spec"]["rollbackTo"].path(), "was left out: use hm rollback");
    spec->erase("rollbackTo");
  }
}

/// The kind of what looks like an object, or a problem.
const KindInfo* kind_of(Json& object, Report& report) {
  const View root = root_of(object);
  const View version = root["apiVersion"], kind = root["kind"];
  for (const View& view : {version, kind}) {
    if (!view.present()) {
      report.required(view);
    } else if (!view.is_string()) {
      report.error(view.path(), Reason::TypeInvalid, "must be a string");
    }
  }
  if (!version.is_string() || !kind.is_string()) return nullptr;
  auto found = resolve_object_kind(version.text(), kind.text());
  if (!found) {
    // Each message begins with the word that the path ends with.
    constexpr std::string_view kFirstWord = "kind ";
    std::string message = found.error().message;
    if (message.starts_with(kFirstWord)) message.erase(0, kFirstWord.size());
    const bool unsupported = found.error().code == base::Errc::Unsupported;
    report.error(kind.path(), unsupported ? Reason::Unsupported : Reason::Invalid,
                 std::move(message), found.error().hints);
    return nullptr;
  }
  if (!found->converted_from.empty())
    convert_old(found->converted_from, *found->info, object, report);
  return found->info;
}

void check_rules(const KindInfo& kind, const Json& object, Report& report) {
  const View root = root_of(object);
  check_metadata(root["metadata"], kind, report);
  if (kind.kind == "Pod") check_pod_spec(root["spec"], PodUse::Pod, report);
  if (kind.kind == "Deployment") check_deployment(root, report);
  if (kind.kind == "ReplicaSet") check_replica_set(root, report);
  if (kind.kind == "Job") check_job(root, report);
  if (kind.kind == "Service") check_service(root, report);
  if (kind.kind == "ConfigMap") check_config_map(root, report);
  if (kind.kind == "Secret") check_secret(root, report);
}

/// Copies a member of `from` where `to` has none.
void carry(const Json& from, Json& to, std::string_view key) {
  const auto member = from.find(key);
  if (member != from.end() && !to.contains(key)) to[std::string(key)] = *member;
}

void carry_service(const Json& before, Json& after) {
  const std::string_view type = View(&after, {})["type"].text("ClusterIP");
  if (type == "ExternalName") return;
  const bool had_addresses = View(&before, {})["type"].text() != "ExternalName";
  if (had_addresses) {
    if (!after.contains("clusterIP") || after["clusterIP"] == before.value("clusterIP", Json())) {
      carry(before, after, "clusterIP");
      carry(before, after, "clusterIPs");
    }
    carry(before, after, "ipFamilies");
    carry(before, after, "ipFamilyPolicy");
  }
  if (type != "NodePort" || !after.contains("ports") || !after["ports"].is_array()) return;
  for (Json& port : after["ports"]) {
    if (!port.is_object() || port.contains("nodePort")) continue;
    for (const View& old : View(&before, {})["ports"].items()) {
      const bool same = old["port"].present() && port.contains("port") &&
                        old["port"].json() == port["port"] &&
                        old["protocol"].text("TCP") == View(&port, {})["protocol"].text("TCP");
      if (same) carry(old.json(), port, "nodePort");
    }
  }
}

/// What the server has set and the sender did not repeat.
void carry_over(const KindInfo& kind, const Json& before, Json& after) {
  auto metadata = after.find("metadata");
  const auto old_metadata = before.find("metadata");
  if (metadata == after.end() || !metadata->is_object() || old_metadata == before.end()) return;
  for (std::string_view key : {"uid", "name", "namespace", "creationTimestamp", "generation"}) {
    carry(*old_metadata, *metadata, key);
  }
  for (const char* key : {"deletionTimestamp", "deletionGracePeriodSeconds"}) {
    metadata->erase(key);
    carry(*old_metadata, *metadata, key);
  }
  if (kind.kind != "Service" || !after.contains("spec") || !after["spec"].is_object()) return;
  if (before.contains("spec")) carry_service(before["spec"], after["spec"]);
}

}  // namespace

Admission admit(Json object, const AdmitOptions& options) {
  Report report(options.positions, options.file);
  Admission admission;
  const auto finish = [&]() {
    admission.errors = report.take_errors();
    admission.notes = report.take_notes();
    admission.object = std::move(object);
    return std::move(admission);
  };
  if (!object.is_object()) {
    report.error({}, Reason::TypeInvalid,
                 fmt::format("is {}; must be an object with apiVersion and kind",
                             object.is_array() ? "a list" : "a single value"));
    return finish();
  }
  admission.kind = kind_of(object, report);
  if (!admission.kind) return finish();
  const KindInfo& kind = *admission.kind;
  if (!kind.serves(Verb::Create) && !options.existing) {
    report.error(FieldPath().key("kind"), Reason::Unsupported,
                 fmt::format("{} is made by the server only", kind.kind));
    return finish();
  }
  apply_early_defaults(kind, object);
  check_structure(object, schema_of(kind), options.unknown_fields, report);
  if (auto metadata = object.find("metadata"); metadata != object.end() && metadata->is_object()) {
    if (kind.namespaced && !metadata->contains("namespace"))
      (*metadata)["namespace"] = options.default_namespace;
    if (!options.existing) {
      for (const char* key : {"deletionTimestamp", "deletionGracePeriodSeconds"})
        metadata->erase(key);
    }
  }
  if (options.existing) carry_over(kind, *options.existing, object);
  apply_defaults(kind, object);
  check_rules(kind, object, report);
  if (options.existing) check_update(kind, *options.existing, object, report);
  return finish();
}

}  // namespace nexus::manifest
