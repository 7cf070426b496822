#include <fmt/format.h>

#include <base/bytes.hpp>

#include "manifest/admit.hpp"
#include "manifest/formats.hpp"
#include "manifest/rules.hpp"
#include "manifest/yaml_document.hpp"

namespace nexus::manifest {

namespace {

constexpr std::string_view kDockerConfig = "kubernetes.io/dockerconfigjson";

std::size_t decoded_bytes(std::string_view base64) {
  const std::size_t pads = base64.ends_with("==") ? 2 : base64.ends_with('=') ? 1 : 0;
  return base64.size() / 4 * 3 - std::min(pads, base64.size() / 4 * 3);
}

void check_total(const View& data, std::size_t bytes, Report& report) {
  if (bytes <= kDataBytesMax) return;
  report.error(data.path(), Reason::TooLong,
               fmt::format("has {} bytes; at most {}", bytes, kDataBytesMax),
               {"put large files into an image or a volume"});
}

void require_key(const View& data, std::string_view key, std::string_view type, Report& report) {
  if (!data[key].present())
    report.required(data[key], fmt::format("is required in a Secret of type {}", type));
}

void check_docker_config(const View& data, std::string_view key, bool nested, Report& report) {
  const View text = data[key];
  if (!text.is_string() || check_base64(text.text())) return;
  const auto bytes = base::from_base64(text.text());
  if (!bytes) return;
  const auto parsed = read_json(base::as_text(*bytes));
  const bool good = parsed && parsed->is_object() &&
                    (!nested || (parsed->contains("auths") && (*parsed)["auths"].is_object()));
  if (!good) {
    report.invalid(text,
                   nested ? "must be JSON of the form {\"auths\": {...}}" : "must be a JSON object",
                   {"make it with: podman login --authfile FILE REGISTRY"});
  }
}

/// Namespace prefixes of annotations that change what Kubernetes does.
struct KnownAnnotation {
  std::string_view prefix, why;
};
constexpr KnownAnnotation kKnownAnnotations[] = {
    {"container.apparmor.security.beta.kubernetes.io/", "AppArmor profiles are not set"},
    {"seccomp.security.alpha.kubernetes.io/", "use securityContext.seccompProfile"},
    {"container.seccomp.security.alpha.kubernetes.io/", "use securityContext.seccompProfile"},
    {"service.beta.kubernetes.io/", "there is no load balancer"},
    {"cloud.google.com/", "there is no load balancer"},
    {"sidecar.istio.io/", "no sidecar is put in"},
};

}  // namespace

void check_metadata(const View& metadata, const KindInfo& kind, Report& report) {
  if (!metadata.is_object()) return;
  const View name = metadata["name"], generate = metadata["generateName"],
             space = metadata["namespace"];
  if (!name.present() && !generate.present()) report.required(name);
  const auto check = kind.kind == "Service"     ? check_dns_1035_label
                     : kind.kind == "Namespace" ? check_dns_label
                                                : check_dns_subdomain;
  if (name.is_string()) {
    if (const auto wrong = check(name.text())) {
      const Reason reason = name.text().size() > 253 ? Reason::TooLong : Reason::Invalid;
      report.error(name.path(), reason,
                   fmt::format("is \"{}\"; {}", name.text().substr(0, 80), *wrong));
    }
  } else if (generate.is_string()) {
    std::string_view stem = generate.text();
    while (stem.ends_with('-')) stem.remove_suffix(1);
    if (const auto wrong = check(stem); wrong || stem.size() > 200) {
      report.invalid(generate, fmt::format("is \"{}\"; {}", stem.substr(0, 80),
                                           wrong.value_or("must be at most 200 characters")));
    }
  }
  if (!kind.namespaced && space.present()) {
    report.forbidden(space, fmt::format("must be absent: a {} belongs to no namespace", kind.kind));
  }
  std::size_t bytes = 0;
  const View annotations = metadata["annotations"];
  for (std::string_view key : annotations.keys()) {
    bytes += key.size() + annotations[key].text().size();
    for (const auto& [prefix, why] : kKnownAnnotations) {
      if (key.starts_with(prefix))
        report.note(annotations[key].path(), fmt::format("has no effect: {}", why));
    }
  }
  if (bytes > kAnnotationsBytesMax) {
    report.error(annotations.path(), Reason::TooLong,
                 fmt::format("has {} bytes; at most {}", bytes, kAnnotationsBytesMax));
  }
}

void check_config_map(const View& object, Report& report) {
  const View data = object["data"], binary = object["binaryData"];
  std::size_t bytes = 0;
  for (std::string_view key : data.keys()) {
    bytes += key.size() + data[key].text().size();
    if (binary[key].present()) report.invalid(binary[key], "is a key of data too");
  }
  for (std::string_view key : binary.keys())
    bytes += key.size() + decoded_bytes(binary[key].text());
  check_total(data.present() ? data : binary, bytes, report);
}

void check_secret(const View& object, Report& report) {
  const View data = object["data"];
  std::size_t bytes = 0;
  for (std::string_view key : data.keys()) bytes += key.size() + decoded_bytes(data[key].text());
  check_total(data, bytes, report);
  const std::string_view type = object["type"].text();
  if (type == kDockerConfig) {
    require_key(data, ".dockerconfigjson", type, report);
    check_docker_config(data, ".dockerconfigjson", true, report);
  } else if (type == "kubernetes.io/dockercfg") {
    require_key(data, ".dockercfg", type, report);
    check_docker_config(data, ".dockercfg", false, report);
  } else if (type == "kubernetes.io/tls") {
    require_key(data, "tls.crt", type, report);
    require_key(data, "tls.key", type, report);
  } else if (type == "kubernetes.io/ssh-auth") {
    require_key(data, "ssh-privatekey", type, report);
  } else if (type == "kubernetes.io/basic-auth") {
    if (!data["username"].present() && !data["password"].present())
      require_key(data, "username", type, report);
  } else if (type == "kubernetes.io/service-account-token") {
    report.unsupported(object["type"], "kubernetes.io/service-account-token is not supported",
                       {"a token of the API is a line of the node's token file"});
  }
}

}  // namespace nexus::manifest
