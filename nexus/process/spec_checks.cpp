#include "process/spec_checks.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace nexus::process {

namespace {

using base::Errc;

constexpr std::size_t kNameBytesMax = 128;

/// Gathers everything that is asked for and cannot be had.
class Refusals {
 public:
  void add_if(bool asked, std::string what) {
    if (asked) refused_.push_back(std::move(what));
  }
  base::Result<> result(std::string_view whose) const {
    if (refused_.empty()) return {};
    return std::unexpected(base::with_hint(
        base::make_error(Errc::Unsupported,
                         fmt::format("{} is a plain process of this machine and cannot have: {}",
                                     whose, fmt::join(refused_, "; "))),
        "remove them, or run the pod on a node with containers (hypermeshd)"));
  }

 private:
  std::vector<std::string> refused_;
};

void refuse_limits(const ResourceLimits& limits, Refusals& refusals) {
  refusals.add_if(limits.memory_bytes_max > 0, "a limit of memory");
  refusals.add_if(limits.cpu_millis_max > 0, "a limit of cpu");
  refusals.add_if(limits.processes_max > 0, "a limit of processes");
  refusals.add_if(limits.io_read_bytes_per_second > 0 || limits.io_write_bytes_per_second > 0,
                  "a limit of disk traffic");
}

std::string_view without_slash(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return path;
}

std::string_view kind_of(const Volume& volume) {
  struct Names {
    std::string_view operator()(const EmptyDirVolume&) const { return "emptyDir"; }
    std::string_view operator()(const HostPathVolume&) const { return "hostPath"; }
    std::string_view operator()(const FilesVolume&) const {
      return "configMap, secret or downwardAPI";
    }
    std::string_view operator()(const NamedVolume&) const { return "persistentVolumeClaim"; }
  };
  return std::visit(Names{}, volume.source);
}

/// Every pod gets these from the orchestrator; anything else comes from the author's dnsConfig.
bool is_default_dns(const PodSpec& spec) {
  const auto& searches = spec.dns_searches;
  if (!spec.dns_servers.empty()) return false;
  if (searches.empty()) return spec.dns_options.empty();
  return searches.size() == 2 &&
         searches[0] == fmt::format("{}.{}", spec.name_space, searches[1]) &&
         spec.dns_options == std::vector<std::string>{"ndots:2"};
}

base::Result<> check_strings(const ContainerSpec& spec) {
  const auto has_zero = [](const std::string& text) { return text.find('\0') != text.npos; };
  const bool zero = std::ranges::any_of(spec.command, has_zero) ||
                    std::ranges::any_of(spec.args, has_zero) ||
                    std::ranges::any_of(spec.env, [&](const auto& variable) {
                      return has_zero(variable.first) || has_zero(variable.second);
                    });
  if (zero) {
    return base::fail(
        Errc::InvalidArgument,
        fmt::format("container {} has a zero byte in its command, arguments or variables",
                    spec.id.name));
  }
  for (const auto& [name, value] : spec.env) {
    if (name.empty() || name.find('=') != name.npos) {
      return base::fail(Errc::InvalidArgument,
                        fmt::format("container {} has a variable named \"{}\"; a name is not empty "
                                    "and has no \"=\"",
                                    spec.id.name, name));
    }
  }
  if (!spec.working_directory.empty() && !spec.working_directory.starts_with('/')) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("container {} has workingDir \"{}\"; must begin with \"/\"",
                                  spec.id.name, spec.working_directory));
  }
  return {};
}

void refuse_mounts(const ContainerSpec& spec, const PodRecord& pod, Refusals& refusals) {
  for (const VolumeMount& mount : spec.mounts) {
    const auto path = pod.host_paths.find(mount.volume);
    const bool in_place = path != pod.host_paths.end() &&
                          without_slash(path->second) == without_slash(mount.path) &&
                          mount.sub_path.empty();
    refusals.add_if(!in_place,
                    fmt::format("volume {} at {} (a hostPath can be used at its own path)",
                                mount.volume, mount.path));
    refusals.add_if(in_place && mount.read_only, fmt::format("volume {} read-only", mount.volume));
  }
}

void refuse_security(const ContainerSecurity& security, OwnUser own, Refusals& refusals) {
  refusals.add_if(
      security.user && *security.user != own.user,
      fmt::format("runAsUser {} (the daemon's is {})", security.user.value_or(0), own.user));
  refusals.add_if(
      security.group && *security.group != own.group,
      fmt::format("runAsGroup {} (the daemon's is {})", security.group.value_or(0), own.group));
  refusals.add_if(!security.supplemental_groups.empty(), "supplementalGroups");
  refusals.add_if(security.run_as_non_root && own.user == 0,
                  "runAsNonRoot (the daemon runs as root)");
  refusals.add_if(security.read_only_root, "readOnlyRootFilesystem");
  refusals.add_if(security.privileged, "privileged");
  refusals.add_if(!security.capabilities_add.empty(),
                  fmt::format("added capabilities {}", fmt::join(security.capabilities_add, ", ")));
  // Who is not root has none that could be dropped.
  refusals.add_if(
      !security.capabilities_drop.empty() && own.user == 0,
      fmt::format("dropped capabilities {}", fmt::join(security.capabilities_drop, ", ")));
}

}  // namespace

base::Result<> check_name(std::string_view name, std::string_view what) {
  const bool clean = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
  if (clean && !name.empty() && name.size() <= kNameBytesMax && !name.starts_with('.')) return {};
  return base::fail(Errc::InvalidArgument,
                    fmt::format("{} is \"{}\"; must be 1 to {} letters, digits, \"-\", \"_\" and "
                                "\".\", not beginning with \".\"",
                                what, name.substr(0, kNameBytesMax), kNameBytesMax));
}

base::Result<> check_image(std::string_view reference) {
  if (reference.starts_with('/') && !reference.ends_with('/') &&
      reference.find('\0') == reference.npos)
    return {};
  return std::unexpected(base::with_hint(
      base::make_error(
          Errc::InvalidArgument,
          fmt::format("image \"{}\" is no program of this machine; this node runs plain processes, "
                      "and allowed is the absolute path of a program, such as /usr/bin/python3",
                      reference)),
      "images of registries run on nodes with containers (hypermeshd)"));
}

base::Result<> check_pod(const PodSpec& spec) {
  TRY_DO(check_name(spec.uid, "the pod's uid"));
  Refusals refusals;
  for (const Volume& volume : spec.volumes) {
    refusals.add_if(
        !std::holds_alternative<HostPathVolume>(volume.source),
        fmt::format("volume {} of kind {} (only hostPath)", volume.name, kind_of(volume)));
  }
  refusals.add_if(!is_default_dns(spec), "dnsConfig (it asks the machine's resolver)");
  refusals.add_if(!spec.host_aliases.empty(), "hostAliases");
  refusals.add_if(spec.fs_group.has_value(), "fsGroup");
  refusals.add_if(!spec.sysctls.empty(), "sysctls");
  return refusals.result(fmt::format("pod {}", spec.name));
}

base::Result<> check_limits(const ResourceLimits& limits) {
  Refusals refusals;
  refuse_limits(limits, refusals);
  return refusals.result("the container");
}

base::Result<> check_container(const ContainerSpec& spec, const PodRecord& pod, OwnUser own) {
  TRY_DO(check_name(spec.id.name, "the container's name"));
  TRY_DO(check_image(spec.image));
  TRY_DO(check_strings(spec));
  Refusals refusals;
  refuse_limits(spec.resources, refusals);
  refuse_mounts(spec, pod, refusals);
  refuse_security(spec.security, own, refusals);
  refusals.add_if(spec.stdin_open, "stdin");
  refusals.add_if(spec.terminal, "tty");
  return refusals.result(fmt::format("container {}", spec.id.name));
}

PodRecord record_of(const PodSpec& spec) {
  PodRecord record{.uid = spec.uid,
                   .name_space = spec.name_space,
                   .name = spec.name,
                   .hostname = spec.hostname,
                   .host_paths = {}};
  for (const Volume& volume : spec.volumes) {
    if (const auto* host = std::get_if<HostPathVolume>(&volume.source))
      record.host_paths[volume.name] = host->path;
  }
  return record;
}

}  // namespace nexus::process
