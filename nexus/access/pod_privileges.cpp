#include "access/pod_privileges.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace nexus {
namespace {

using Json = nlohmann::json;

// What containers have anyway; to ask for it by name gives nothing.
constexpr std::string_view kOrdinaryCapabilities[] = {
    "AUDIT_WRITE",      "CHOWN",   "DAC_OVERRIDE", "FOWNER", "FSETID",  "KILL",   "MKNOD",
    "NET_BIND_SERVICE", "NET_RAW", "SETFCAP",      "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"};

const Json* member(const Json* object, std::string_view name) {
  if (object == nullptr || !object->is_object()) return nullptr;
  const auto found = object->find(name);
  return found == object->end() ? nullptr : &*found;
}
bool is_true(const Json* value) {
  return value != nullptr && value->is_boolean() && value->get<bool>();
}
bool is_text(const Json* value, std::string_view text) {
  return value != nullptr && value->is_string() && value->get_ref<const std::string&>() == text;
}

bool is_ordinary(const Json& capability) {
  if (!capability.is_string()) return false;
  std::string_view name = capability.get_ref<const std::string&>();
  if (name.starts_with("CAP_")) name.remove_prefix(4);
  return std::ranges::find(kOrdinaryCapabilities, name) != std::end(kOrdinaryCapabilities);
}

void look_at_security(const Json* context, const std::string& path,
                      std::vector<std::string>& found) {
  if (is_true(member(context, "privileged"))) found.push_back(path + ".privileged");
  if (is_text(member(context, "procMount"), "Unmasked")) found.push_back(path + ".procMount");
  if (is_text(member(member(context, "seccompProfile"), "type"), "Unconfined")) {
    found.push_back(path + ".seccompProfile");
  }
  const Json* added = member(member(context, "capabilities"), "add");
  if (added == nullptr || !added->is_array()) return;
  for (std::size_t i = 0; i < added->size(); ++i) {
    if (!is_ordinary((*added)[i])) found.push_back(fmt::format("{}.capabilities.add[{}]", path, i));
  }
}

}  // namespace

const Json* pod_spec_of(std::string_view kind, const Json& object) {
  const Json* spec = member(&object, "spec");
  if (kind == "Pod") return spec;
  if (kind == "Deployment" || kind == "ReplicaSet" || kind == "Job") {
    return member(member(spec, "template"), "spec");
  }
  return nullptr;
}

std::vector<std::string> pod_privileges(std::string_view kind, const Json& object) {
  std::vector<std::string> found;
  const Json* spec = pod_spec_of(kind, object);
  if (spec == nullptr) return found;
  const std::string path = kind == "Pod" ? "spec" : "spec.template.spec";
  for (std::string_view name : {"hostNetwork", "hostPID", "hostIPC", "hostUsers"}) {
    if (is_true(member(spec, name))) found.push_back(fmt::format("{}.{}", path, name));
  }
  look_at_security(member(spec, "securityContext"), path + ".securityContext", found);
  if (const Json* volumes = member(spec, "volumes"); volumes != nullptr && volumes->is_array()) {
    for (std::size_t i = 0; i < volumes->size(); ++i) {
      const Json* host_path = member(&(*volumes)[i], "hostPath");
      if (host_path != nullptr && !host_path->is_null()) {
        found.push_back(fmt::format("{}.volumes[{}].hostPath", path, i));
      }
    }
  }
  for (std::string_view list : {"initContainers", "containers", "ephemeralContainers"}) {
    const Json* containers = member(spec, list);
    if (containers == nullptr || !containers->is_array()) continue;
    for (std::size_t i = 0; i < containers->size(); ++i) {
      look_at_security(member(&(*containers)[i], "securityContext"),
                       fmt::format("{}.{}[{}].securityContext", path, list, i), found);
    }
  }
  return found;
}

}  // namespace nexus
