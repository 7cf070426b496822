// What must not change once an object exists, as Kubernetes' validation of updates has it.

#include <fmt/format.h>

#include <set>

#include "manifest/admit.hpp"
#include "manifest/rules.hpp"
#include "manifest/schema.hpp"

namespace nexus::manifest {

namespace {

constexpr std::string_view kRecreate = "delete the object and make it again";

std::string shown(const View& view) {
  if (!view.present()) return "absent";
  std::string text = view.json().dump();
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

void must_stay(const View& before, const View& after, Report& report) {
  const bool same =
      before.present() ? after.present() && before.json() == after.json() : !after.present();
  if (same) return;
  const bool small = !before.is_object() && !after.is_object();
  report.forbidden(
      after, small ? fmt::format("must not change: it is {}", shown(before)) : "must not change",
      {std::string(kRecreate)});
}

/// Every field that the schema marks.
void check_marked(const ObjectType& type, const View& before, const View& after, Report& report) {
  if (!before.is_object() || !after.is_object()) return;
  for (const Field& field : type.fields) {
    if (field.is_immutable) {
      must_stay(before[field.name], after[field.name], report);
    } else if (field.type == Type::Object && field.support == Support::Honoured) {
      check_marked(*field.object, before[field.name], after[field.name], report);
    }
  }
}

/// A pod's description is settled, but for its images, limits and deadline, and where it was
/// placed.
void check_pod(const View& before, const View& after, Report& report) {
  Json old_spec = before.json(), new_spec = after.json();
  for (Json* spec : {&old_spec, &new_spec}) {
    for (const char* key :
         {"activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations"})
      spec->erase(key);
    for (const char* key : {"containers", "initContainers"}) {
      if (!spec->contains(key)) continue;
      for (Json& container : (*spec)[key]) {
        if (!container.is_object()) continue;  // Of a wrong type, as has been reported.
        container.erase("image");
        container.erase("resources");
      }
    }
  }
  if (!before["nodeName"].present()) {
    old_spec.erase("nodeName");
    new_spec.erase("nodeName");
  }
  if (old_spec == new_spec) return;
  for (const auto& [key, value] : new_spec.items()) {
    if (!old_spec.contains(key) || old_spec[key] != value) {
      report.forbidden(after[key],
                       "must not change: of a pod only images, resources and deadlines may",
                       {std::string(kRecreate)});
    }
  }
  for (const auto& [key, value] : old_spec.items()) {
    if (!new_spec.contains(key))
      report.forbidden(after[key], "must not be removed", {std::string(kRecreate)});
  }
}

void check_service_update(const View& before, const View& after, Report& report) {
  const bool was_external = before["type"].text() == "ExternalName";
  const bool is_external = after["type"].text() == "ExternalName";
  if (was_external || is_external || before["clusterIP"].text().empty()) return;
  must_stay(before["clusterIP"], after["clusterIP"], report);
}

void check_immutable_data(const View& before, const View& after, Report& report) {
  if (!before["immutable"].truth()) return;
  if (!after["immutable"].truth())
    report.forbidden(after["immutable"], "must stay true once it is");
  for (std::string_view key : {"data", "binaryData"}) {
    const bool empty = before[key].size() == 0 && after[key].size() == 0;
    const bool same =
        before[key].present() && after[key].present() && before[key].json() == after[key].json();
    if (!empty && !same)
      report.forbidden(after[key], "must not change: the object is immutable",
                       {std::string(kRecreate)});
  }
}

}  // namespace

void check_update(const KindInfo& kind, const Json& before, const Json& after, Report& report) {
  const View was(&before, {}), is(&after, {});
  check_marked(schema_of(kind), was, is, report);
  const View uid = is["metadata"]["uid"];
  if (uid.present() && was["metadata"]["uid"].present())
    must_stay(was["metadata"]["uid"], uid, report);
  if (!was["spec"].is_object() || !is["spec"].is_object()) {
    if (kind.kind == "ConfigMap" || kind.kind == "Secret") check_immutable_data(was, is, report);
    return;
  }
  if (kind.kind == "Pod") check_pod(was["spec"], is["spec"], report);
  if (kind.kind == "Service") check_service_update(was["spec"], is["spec"], report);
}

}  // namespace nexus::manifest
