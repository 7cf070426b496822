// Defaults that depend on other fields, as Kubernetes' own defaulting sets them
// (pkg/apis/*/v1/defaults.go). Values of a wrong type are left alone.

#include <base/bytes.hpp>
#include <string>

#include "manifest/rules.hpp"

namespace nexus::manifest {

namespace {

Json* member(Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Json* object_member(Json& object, std::string_view key) {
  Json* found = member(object, key);
  return found && found->is_object() ? found : nullptr;
}

bool is_text(Json& object, std::string_view key, std::string_view text) {
  Json* found = member(object, key);
  return found && found->is_string() && found->get_ref<const std::string&>() == text;
}

void set_if_absent(Json& object, std::string_view key, Json value) {
  if (!member(object, key)) object[std::string(key)] = std::move(value);
}

template <class F>
void for_each_object(Json* list, F&& f) {
  if (!list || !list->is_array()) return;
  for (Json& item : *list) {
    if (item.is_object()) f(item);
  }
}

/// ":latest", explicit or by silence, may change: ask the registry each time.
std::string_view pull_policy_of(std::string_view image) {
  if (image.contains('@')) return "IfNotPresent";
  const std::size_t slash = image.rfind('/');
  const std::string_view last = slash == std::string_view::npos ? image : image.substr(slash + 1);
  const std::size_t colon = last.rfind(':');
  return colon == std::string_view::npos || last.substr(colon) == ":latest" ? "Always"
                                                                            : "IfNotPresent";
}

void default_container(Json& container, bool host_network) {
  if (Json* image = member(container, "image"); image && image->is_string()) {
    set_if_absent(container, "imagePullPolicy",
                  pull_policy_of(image->get_ref<const std::string&>()));
  }
  if (Json* resources = object_member(container, "resources")) {
    if (Json* limits = object_member(*resources, "limits")) {
      Json* requests = object_member(*resources, "requests");
      if (!requests && !member(*resources, "requests"))
        requests = &((*resources)["requests"] = Json::object());
      if (requests) {
        for (const auto& [name, amount] : limits->items()) set_if_absent(*requests, name, amount);
      }
    }
  }
  if (host_network) {
    for_each_object(member(container, "ports"), [](Json& port) {
      if (Json* number = member(port, "containerPort")) set_if_absent(port, "hostPort", *number);
    });
  }
}

void default_pod_spec(Json& spec) {
  Json* network = member(spec, "hostNetwork");
  const bool host_network = network && network->is_boolean() && network->get<bool>();
  for (std::string_view list : {"containers", "initContainers"}) {
    for_each_object(member(spec, list),
                    [&](Json& container) { default_container(container, host_network); });
  }
  for_each_object(member(spec, "volumes"), [](Json& volume) {
    if (volume.size() == 1 && volume.contains("name")) volume["emptyDir"] = Json::object();
  });
  // Both names of the account are served, so that either can be read.
  for (const auto& [from, to] : {std::pair("serviceAccountName", "serviceAccount"),
                                 std::pair("serviceAccount", "serviceAccountName")}) {
    if (Json* account = member(spec, from)) set_if_absent(spec, to, *account);
  }
}

void default_template(Json& spec) {
  Json* pod_template = object_member(spec, "template");
  Json* pod_spec = pod_template ? object_member(*pod_template, "spec") : nullptr;
  if (pod_spec) default_pod_spec(*pod_spec);
}

void default_service(Json& spec) {
  const bool external = is_text(spec, "type", "ExternalName");
  for_each_object(member(spec, "ports"), [](Json& port) {
    if (Json* number = member(port, "port")) set_if_absent(port, "targetPort", *number);
  });
  if (is_text(spec, "sessionAffinity", "ClientIP")) {
    set_if_absent(spec, "sessionAffinityConfig", {{"clientIP", {{"timeoutSeconds", 10800}}}});
  }
  if (!external) set_if_absent(spec, "internalTrafficPolicy", "Cluster");
  if (is_text(spec, "type", "NodePort")) set_if_absent(spec, "externalTrafficPolicy", "Cluster");
}

void default_secret(Json& object) {
  Json* texts = object_member(object, "stringData");
  if (!texts) return;
  Json* data = object_member(object, "data");
  if (!data && member(object, "data")) return;
  if (!data) data = &(object["data"] = Json::object());
  for (const auto& [key, text] : texts->items()) {
    if (text.is_string())
      (*data)[key] = base::to_base64(base::as_bytes(text.get_ref<const std::string&>()));
  }
  object.erase("stringData");
}

/// A port of 0 is one that was not given, as where a program writes every field of its own type.
void drop_zero_ports(Json* ports, std::string_view key) {
  for_each_object(ports, [key](Json& port) {
    const Json* number = member(port, key);
    if (number && number->is_number_integer() && *number == 0) port.erase(std::string(key));
  });
}

void drop_zero_host_ports(Json* pod_spec) {
  if (!pod_spec) return;
  for (std::string_view list : {"containers", "initContainers"}) {
    for_each_object(member(*pod_spec, list), [](Json& container) {
      drop_zero_ports(member(container, "ports"), "hostPort");
    });
  }
}

}  // namespace

void apply_early_defaults(const KindInfo& kind, Json& object) {
  Json* spec = object_member(object, "spec");
  if (spec && kind.kind == "Service") drop_zero_ports(member(*spec, "ports"), "nodePort");
  if (spec && kind.kind == "Pod") drop_zero_host_ports(spec);
  if (Json* pod_template = spec ? object_member(*spec, "template") : nullptr)
    drop_zero_host_ports(object_member(*pod_template, "spec"));
  // An empty address asks for one, as if there was none.
  if (kind.kind == "Service" && spec && is_text(*spec, "clusterIP", "")) spec->erase("clusterIP");
  if (kind.kind != "Job" || !spec) return;
  // Neither given: one pod. Only completions given: one at a time. Only parallelism: a work queue.
  if (!member(*spec, "completions") && !member(*spec, "parallelism")) (*spec)["completions"] = 1;
}

void apply_defaults(const KindInfo& kind, Json& object) {
  if (kind.kind == "Secret") return default_secret(object);
  Json* spec = object_member(object, "spec");
  if (!spec) return;
  if (kind.kind == "Pod") default_pod_spec(*spec);
  if (kind.kind == "Service") default_service(*spec);
  if (kind.kind == "Deployment" || kind.kind == "ReplicaSet" || kind.kind == "Job")
    default_template(*spec);
  if (kind.kind == "Deployment") {
    if (Json* strategy = object_member(*spec, "strategy");
        strategy && is_text(*strategy, "type", "RollingUpdate")) {
      set_if_absent(*strategy, "rollingUpdate", {{"maxSurge", "25%"}, {"maxUnavailable", "25%"}});
    }
  }
}

}  // namespace nexus::manifest
