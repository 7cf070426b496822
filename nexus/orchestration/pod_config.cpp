#include "orchestration/pod_config.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "manifest/quantity.hpp"
#include "orchestration/json_read.hpp"
#include "orchestration/pod_config_values.hpp"

namespace nexus::orchestration {

namespace {

constexpr std::uint32_t kDefaultFileMode = 0644;

std::uint32_t mode_of(const Json& json, std::string_view key, std::uint32_t fallback) {
  return static_cast<std::uint32_t>(number_or(json, key, fallback)) & 07777;
}

/// Files of one ConfigMap or Secret: all keys, or those of `items` under their paths.
base::Result<> add_config_files(const PodConfigInput& input, const Json& source,
                                const std::string& kind, const std::string& name,
                                std::uint32_t mode, std::vector<VolumeFile>& into) {
  const bool optional = flag(source, "optional");
  TRY(auto entries, config_entries(input, kind, name, optional));
  const auto& chosen = items(source, "items");
  if (chosen.empty()) {
    for (auto& [key, value] : entries)
      into.push_back({.path = key, .content = std::move(value), .mode = mode});
    return {};
  }
  for (const Json& item : chosen) {
    const std::string key = text(item, "key");
    const auto entry = entries.find(key);
    if (entry == entries.end()) {
      if (optional) continue;
      return base::fail(base::Errc::NotFound,
                        fmt::format("{} \"{}\" has no key \"{}\"", kind, name, key));
    }
    into.push_back({.path = text(item, "path", key),
                    .content = entry->second,
                    .mode = mode_of(item, "mode", mode)});
  }
  return {};
}

base::Result<> add_downward_files(const PodConfigInput& input, const Json& source,
                                  std::uint32_t mode, std::vector<VolumeFile>& into) {
  for (const Json& item : items(source, "items")) {
    VolumeFile file{.path = text(item, "path"), .content = {}, .mode = mode_of(item, "mode", mode)};
    if (const Json* field = find(item, "fieldRef")) {
      TRY(file.content, field_value(input, text(*field, "fieldPath")));
    } else if (const Json* resource = find(item, "resourceFieldRef")) {
      TRY(file.content, resource_value(input, *resource, nullptr));
    }
    into.push_back(std::move(file));
  }
  return {};
}

base::Result<FilesVolume> projected(const PodConfigInput& input, const Json& source) {
  FilesVolume out;
  const std::uint32_t mode = mode_of(source, "defaultMode", kDefaultFileMode);
  for (const Json& each : items(source, "sources")) {
    if (const Json* config = find(each, "configMap")) {
      TRY_DO(add_config_files(input, *config, "ConfigMap", text(*config, "name"), mode, out.files));
    } else if (const Json* secret = find(each, "secret")) {
      out.secret = true;
      TRY_DO(add_config_files(input, *secret, "Secret", text(*secret, "name"), mode, out.files));
    } else if (const Json* downward = find(each, "downwardAPI")) {
      TRY_DO(add_downward_files(input, *downward, mode, out.files));
    } else {
      return base::fail(base::Errc::Unsupported,
                        "a projected volume has a source that is not served");
    }
  }
  return out;
}

base::Result<HostPathVolume> host_path(const Json& source) {
  HostPathVolume out{.path = text(source, "path")};
  const std::string type = text(source, "type");
  using Type = HostPathVolume::Type;
  if (type.empty()) return out;
  if (type == "Directory") {
    out.type = Type::Directory;
  } else if (type == "DirectoryOrCreate") {
    out.type = Type::DirectoryOrCreate;
  } else if (type == "File") {
    out.type = Type::File;
  } else if (type == "FileOrCreate") {
    out.type = Type::FileOrCreate;
  } else {
    return base::fail(base::Errc::Unsupported, fmt::format("hostPath type {} is not served", type));
  }
  return out;
}

base::Result<Volume> resolve_volume(const PodConfigInput& input, const Json& json) {
  Volume out{.name = text(json, "name"), .source = EmptyDirVolume{}};
  if (const Json* empty = find(json, "emptyDir")) {
    EmptyDirVolume volume{.in_memory = text(*empty, "medium") == "Memory"};
    if (const std::string limit = text(*empty, "sizeLimit"); !limit.empty()) {
      TRY(auto bytes, manifest::Quantity::parse(limit));
      volume.bytes_max = static_cast<std::uint64_t>(std::max<std::int64_t>(0, bytes.value()));
    }
    out.source = volume;
  } else if (const Json* host = find(json, "hostPath")) {
    TRY(auto volume, host_path(*host));
    out.source = std::move(volume);
  } else if (const Json* config = find(json, "configMap")) {
    FilesVolume volume;
    TRY_DO(add_config_files(input, *config, "ConfigMap", text(*config, "name"),
                            mode_of(*config, "defaultMode", kDefaultFileMode), volume.files));
    out.source = std::move(volume);
  } else if (const Json* secret = find(json, "secret")) {
    FilesVolume volume{.files = {}, .secret = true};
    TRY_DO(add_config_files(input, *secret, "Secret", text(*secret, "secretName"),
                            mode_of(*secret, "defaultMode", kDefaultFileMode), volume.files));
    out.source = std::move(volume);
  } else if (const Json* downward = find(json, "downwardAPI")) {
    FilesVolume volume;
    TRY_DO(add_downward_files(input, *downward, mode_of(*downward, "defaultMode", kDefaultFileMode),
                              volume.files));
    out.source = std::move(volume);
  } else if (const Json* sources = find(json, "projected")) {
    TRY(auto volume, projected(input, *sources));
    out.source = std::move(volume);
  } else if (const Json* claim = find(json, "persistentVolumeClaim")) {
    out.source = NamedVolume{
        .name = fmt::format("{}/{}", input.pod.meta.name_space, text(*claim, "claimName"))};
  } else if (json.size() > 1) {
    return base::fail(base::Errc::Unsupported,
                      fmt::format("volume \"{}\" is of a kind that is not served", out.name));
  }
  return out;
}

void add_dns(const PodConfigInput& input, PodSpec& out) {
  const Json& spec = input.pod.spec();
  const Json& config = at(spec, "dnsConfig");
  const std::string policy = text(spec, "dnsPolicy", "ClusterFirst");
  if (policy == "ClusterFirst" || policy == "ClusterFirstWithHostNet") {
    out.dns_searches = {fmt::format("{}.{}", input.pod.meta.name_space, input.zone), input.zone};
    out.dns_options = {"ndots:2"};
  }
  for (std::string& server : texts(config, "nameservers"))
    out.dns_servers.push_back(std::move(server));
  for (std::string& search : texts(config, "searches"))
    out.dns_searches.push_back(std::move(search));
  for (const Json& option : items(config, "options")) {
    const std::string name = text(option, "name"), value = text(option, "value");
    // The author's word replaces ours.
    std::erase_if(out.dns_options, [&](const std::string& each) {
      return each == name || each.starts_with(name + ":");
    });
    out.dns_options.push_back(value.empty() ? name : fmt::format("{}:{}", name, value));
  }
}

std::optional<std::uint32_t> id_of(const Json& first, const Json& second, std::string_view key) {
  for (const Json* json : {&first, &second}) {
    if (const auto value = number(*json, key)) return static_cast<std::uint32_t>(*value);
  }
  return std::nullopt;
}

/// What the container says counts before what the pod says.
ContainerSecurity security(const PodConfigInput& input, const Container& container) {
  const Json& of_pod = at(input.pod.spec(), "securityContext");
  const Json& own = at(*container.json, "securityContext");
  ContainerSecurity out;
  out.user = id_of(own, of_pod, "runAsUser");
  out.group = id_of(own, of_pod, "runAsGroup");
  out.run_as_non_root = flag(own, "runAsNonRoot", flag(of_pod, "runAsNonRoot"));
  out.read_only_root = flag(own, "readOnlyRootFilesystem");
  out.privileged = flag(own, "privileged");
  // Kubernetes' default allows it; without a word about it we do not, except for privileged ones.
  out.no_new_privileges = !flag(own, "allowPrivilegeEscalation", out.privileged);
  const Json& profile = find(own, "seccompProfile") != nullptr ? at(own, "seccompProfile")
                                                               : at(of_pod, "seccompProfile");
  out.seccomp_unconfined = text(profile, "type") == "Unconfined";
  for (const Json& group : items(of_pod, "supplementalGroups")) {
    if (group.is_number_integer()) out.supplemental_groups.push_back(group.get<std::uint32_t>());
  }
  if (const auto group = number(of_pod, "fsGroup")) {
    out.supplemental_groups.push_back(static_cast<std::uint32_t>(*group));
  }
  out.capabilities_add = texts(at(own, "capabilities"), "add");
  out.capabilities_drop = texts(at(own, "capabilities"), "drop");
  return out;
}

bool any_privileged(const Pod& pod) {
  for (const auto* list : {&pod.init_containers, &pod.containers}) {
    for (const Container& container : *list) {
      if (flag(at(*container.json, "securityContext"), "privileged")) return true;
    }
  }
  return false;
}

/// "registry.example:5000/a/b:1" -> "registry.example:5000"; a bare name is Docker Hub's.
std::string registry_of(std::string_view image) {
  const std::size_t slash = image.find('/');
  const std::string_view first = image.substr(0, slash);
  const bool host = slash != std::string_view::npos &&
                    (first == "localhost" || first.find_first_of(".:[") != std::string_view::npos);
  return host ? std::string(first) : "docker.io";
}

std::string normal_registry(std::string_view key) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
  }
  const std::string host(key.substr(0, key.find('/')));
  return host == "index.docker.io" || host == "registry-1.docker.io" ? "docker.io" : host;
}

bool names_in(const Json& json, const ObjectRef& ref) {
  if (json.is_array()) {
    return std::ranges::any_of(json, [&](const Json& each) { return names_in(each, ref); });
  }
  if (!json.is_object()) return false;
  const bool config = ref.kind == "ConfigMap";
  for (const auto& [key, value] : json.items()) {
    const bool reference =
        config ? key == "configMapRef" || key == "configMapKeyRef" || key == "configMap"
               : key == "secretRef" || key == "secretKeyRef" || key == "secret";
    if (reference && (text(value, "name") == ref.name || text(value, "secretName") == ref.name))
      return true;
    if (names_in(value, ref)) return true;
  }
  return false;
}

}  // namespace

base::Result<std::vector<Volume>> resolve_volumes(const PodConfigInput& input) {
  std::vector<Volume> out;
  for (const Json& volume : items(input.pod.spec(), "volumes")) {
    TRY(auto resolved, resolve_volume(input, volume));
    out.push_back(std::move(resolved));
  }
  return out;
}

base::Result<PodSpec> resolve_pod(const PodConfigInput& input) {
  const Json& spec = input.pod.spec();
  PodSpec out;
  out.uid = input.pod.meta.uid;
  out.name_space = input.pod.meta.name_space;
  out.name = input.pod.meta.name;
  out.hostname = text(spec, "hostname", out.name);
  if (flag(spec, "setHostnameAsFQDN") && !text(spec, "subdomain").empty()) {
    out.hostname = fmt::format("{}.{}.{}.{}", out.hostname, text(spec, "subdomain"), out.name_space,
                               input.zone);
  }
  TRY(out.volumes, resolve_volumes(input));
  add_dns(input, out);
  for (const Json& alias : items(spec, "hostAliases")) {
    for (const std::string& name : texts(alias, "hostnames"))
      out.host_aliases.emplace_back(text(alias, "ip"), name);
  }
  const Json& security = at(spec, "securityContext");
  out.fs_group = id_of(security, security, "fsGroup");
  for (const Json& sysctl : items(security, "sysctls"))
    out.sysctls[text(sysctl, "name")] = text(sysctl, "value");
  out.host_network = input.pod.host_network;
  out.host_users = flag(spec, "hostUsers") || any_privileged(input.pod);
  return out;
}

base::Result<ContainerSpec> resolve_container(const PodConfigInput& input,
                                              const Container& container, std::uint32_t attempt,
                                              std::string image) {
  const Json& json = *container.json;
  ContainerSpec out;
  out.id = {input.pod.meta.uid, container.name};
  out.attempt = attempt;
  out.image = std::move(image);
  TRY(out.env, environment(input, container));
  const std::map<std::string, std::string> variables(out.env.begin(), out.env.end());
  for (const std::string& word : texts(json, "command"))
    out.command.push_back(expand(word, variables));
  for (const std::string& word : texts(json, "args")) out.args.push_back(expand(word, variables));
  out.working_directory = text(json, "workingDir");
  for (const Json& mount : items(json, "volumeMounts")) {
    out.mounts.push_back({.volume = text(mount, "name"),
                          .path = text(mount, "mountPath"),
                          .sub_path = text(mount, "subPath"),
                          .read_only = flag(mount, "readOnly")});
  }
  out.resources = container.limits;
  out.security = security(input, container);
  out.stdin_open = flag(json, "stdin");
  out.terminal = flag(json, "tty");
  return out;
}

std::optional<RegistryCredentials> registry_credentials(const PodConfigInput& input,
                                                        std::string_view image) {
  const std::string registry = registry_of(image);
  for (const std::string& name : input.pod.pull_secrets) {
    const auto entries = config_entries(input, "Secret", name, true);
    if (!entries || !entries->contains(".dockerconfigjson")) continue;
    const Json config =
        Json::parse(entries->at(".dockerconfigjson"), nullptr, /*allow_exceptions=*/false);
    const Json* auths = find(config, "auths");
    if (auths == nullptr || !auths->is_object()) continue;
    for (const auto& [key, auth] : auths->items()) {
      if (normal_registry(key) != registry) continue;
      RegistryCredentials out{.user = text(auth, "username"), .password = text(auth, "password")};
      if (out.user.empty()) {
        const auto decoded = base::from_base64(text(auth, "auth"));
        if (!decoded) continue;
        const std::string_view pair = base::as_text(*decoded);
        const std::size_t colon = pair.find(':');
        if (colon == std::string_view::npos) continue;
        out = {.user = std::string(pair.substr(0, colon)),
               .password = std::string(pair.substr(colon + 1))};
      }
      return out;
    }
  }
  return std::nullopt;
}

bool uses_config(const Pod& pod, const ObjectRef& ref) {
  if (pod.meta.name_space != ref.name_space) return false;
  if (ref.kind == "Secret" &&
      std::ranges::find(pod.pull_secrets, ref.name) != pod.pull_secrets.end())
    return true;
  return names_in(pod.spec(), ref);
}

}  // namespace nexus::orchestration
