#include "runtime/core/request_checks.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/core/capabilities.hpp"
#include "runtime/core/user_lookup.hpp"

namespace hypermesh::keeper {
namespace {

using base::Errc;

constexpr std::size_t kUidCharactersMax = 128;
constexpr std::size_t kLabelCharactersMax = 63;

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

std::string shown(std::string_view text) {
  std::string result;
  for (char c : text.substr(0, 80)) result += c >= 0x20 && c < 0x7f ? c : '?';
  return result;
}

std::unexpected<base::Error> wrong(std::string_view what, std::string_view found,
                                   std::string_view wanted) {
  return base::fail(Errc::InvalidArgument,
                    fmt::format("{} is \"{}\"; must be {}", what, shown(found), wanted));
}

base::Result<> check_label(std::string_view label, std::string_view what) {
  const bool fits =
      !label.empty() && label.size() <= kLabelCharactersMax && label.front() != '-' &&
      label.back() != '-' &&
      std::ranges::all_of(label, [](char c) { return is_lower(c) || is_digit(c) || c == '-'; });
  if (fits) return {};
  return wrong(what, label, "1 to 63 of a-z 0-9 and inner hyphens");
}

base::Result<> check_count(std::size_t count, std::size_t max, std::string_view what) {
  if (count <= max) return {};
  return base::fail(Errc::InvalidArgument, fmt::format("{} {}; at most {}", count, what, max));
}

base::Result<> check_text(std::string_view text, std::size_t bytes_max, std::string_view what) {
  if (text.size() > bytes_max) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("{} has {} bytes; at most {}", what, text.size(), bytes_max));
  }
  if (text.find('\0') != text.npos) {
    return base::fail(Errc::InvalidArgument, fmt::format("{} holds a NUL byte", what));
  }
  return {};
}

/// A word of a file like /etc/hosts: no white space, no control characters.
base::Result<> check_word(std::string_view word, std::string_view what) {
  const bool fits = !word.empty() && word.size() <= 255 &&
                    std::ranges::all_of(word, [](char c) { return c > 0x20 && c < 0x7f; });
  if (fits) return {};
  return wrong(what, word, "1 to 255 printable characters without spaces");
}

base::Result<> check_components(std::string_view path, std::string_view what) {
  for (std::string_view rest = path;;) {
    const std::size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part.empty() || part == "." || part == "..") {
      return wrong(what, path, "a path without empty parts, \".\" and \"..\"");
    }
    if (slash == rest.npos) return {};
    rest.remove_prefix(slash + 1);
  }
}

base::Result<> check_id(const nexus::ContainerId& id) {
  TRY_DO(check_pod_uid(id.pod_uid));
  return check_container_name(id.name);
}

base::Result<> check_files(const std::vector<nexus::VolumeFile>& files) {
  TRY_DO(check_count(files.size(), kVolumeFilesMax, "files in a volume"));
  for (const auto& file : files) {
    TRY_DO(check_relative_path(file.path, "a volume's file"));
    // Names that begin so are how the set of files is swapped.
    if (file.path.starts_with(".."))
      return wrong("a volume's file", file.path, "a name that does not begin with \"..\"");
    if (file.mode > 0777) {
      return base::fail(Errc::InvalidArgument,
                        fmt::format("mode {:o} of {}; at most 777", file.mode, file.path));
    }
  }
  std::vector<std::string_view> paths;
  for (const auto& file : files) paths.push_back(file.path);
  std::ranges::sort(paths);
  for (std::size_t i = 1; i < paths.size(); ++i) {
    if (paths[i] == paths[i - 1]) return wrong("a volume's file", paths[i], "there once");
    if (paths[i].starts_with(paths[i - 1]) && paths[i][paths[i - 1].size()] == '/') {
      return wrong("a volume's file", paths[i - 1], "a file or a folder, not both");
    }
  }
  return {};
}

base::Result<> check_volume(const nexus::Volume& volume) {
  TRY_DO(check_label(volume.name, "a volume's name"));
  if (const auto* host = std::get_if<nexus::HostPathVolume>(&volume.source)) {
    if (host->path != "/") TRY_DO(check_absolute_path(host->path, "hostPath"));
  } else if (const auto* files = std::get_if<nexus::FilesVolume>(&volume.source)) {
    TRY_DO(check_files(files->files));
  } else if (const auto* named = std::get_if<nexus::NamedVolume>(&volume.source)) {
    const bool fits = !named->name.empty() && named->name.size() <= 200 &&
                      std::ranges::all_of(named->name, [](char c) {
                        return is_lower(c) || is_digit(c) || c == '-' || c == '.' || c == '/';
                      });
    if (!fits) return wrong("a named volume", named->name, "1 to 200 of a-z 0-9 - . and /");
    TRY_DO(check_components(named->name, "a named volume"));
  }
  return {};
}

base::Result<> check_sysctl(std::string_view name, std::string_view value) {
  const bool fits = !name.empty() && name.size() <= 200 && std::ranges::all_of(name, [](char c) {
    return is_lower(c) || is_upper(c) || is_digit(c) || c == '.' || c == '_' || c == '-';
  });
  if (!fits || name.find("..") != name.npos || name.front() == '.' || name.back() == '.') {
    return wrong("a sysctl", name, "a name like net.ipv4.tcp_syncookies");
  }
  const bool namespaced = name.starts_with("net.") || name.starts_with("kernel.shm") ||
                          name.starts_with("kernel.msg") || name == "kernel.sem" ||
                          name.starts_with("fs.mqueue.");
  if (!namespaced) {
    return base::fail(
        Errc::Unsupported,
        fmt::format("sysctl {} belongs to the machine, not to a pod; a pod has net.*, kernel.shm*, "
                    "kernel.msg*, kernel.sem and fs.mqueue.*",
                    name));
  }
  return check_text(value, 255, "a sysctl's value");
}

base::Result<> check_pod(const nexus::PodSpec& pod) {
  TRY_DO(check_pod_uid(pod.uid));
  TRY_DO(check_word(pod.name_space, "the pod's namespace"));
  TRY_DO(check_word(pod.name, "the pod's name"));
  if (!pod.hostname.empty()) TRY_DO(check_word(pod.hostname, "the pod's host name"));
  TRY_DO(check_count(pod.volumes.size(), kVolumesMax, "volumes"));
  for (std::size_t i = 0; i < pod.volumes.size(); ++i) {
    TRY_DO(check_volume(pod.volumes[i]));
    for (std::size_t j = 0; j < i; ++j) {
      if (pod.volumes[i].name == pod.volumes[j].name)
        return wrong("a volume's name", pod.volumes[i].name, "there once");
    }
  }
  for (const auto* list : {&pod.dns_servers, &pod.dns_searches, &pod.dns_options}) {
    TRY_DO(check_count(list->size(), 32, "entries of DNS configuration"));
    for (const auto& word : *list) TRY_DO(check_word(word, "an entry of DNS configuration"));
  }
  TRY_DO(check_count(pod.host_aliases.size(), 1024, "host aliases"));
  for (const auto& [address, name] : pod.host_aliases) {
    TRY_DO(check_word(address, "a host alias' address"));
    TRY_DO(check_word(name, "a host alias"));
  }
  for (const auto& [name, value] : pod.sysctls) {
    TRY_DO(check_sysctl(name, value));
    if (pod.host_network && name.starts_with("net.")) {
      return base::fail(
          Errc::InvalidArgument,
          fmt::format("sysctl {} would be the machine's: the pod shares its network", name));
    }
  }
  if (pod.fs_group && *pod.fs_group >= kContainerIds && !pod.host_users) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("fsGroup {} does not exist in the pod, whose ids are 0 to 65535",
                                  *pod.fs_group));
  }
  // Their files lie on disk under the node's own ids, whatever users the pod has.
  for (const auto& volume : pod.volumes) {
    if (!pod.fs_group || *pod.fs_group < kContainerIds ||
        !std::holds_alternative<nexus::NamedVolume>(volume.source))
      continue;
    return base::fail(Errc::InvalidArgument,
                      fmt::format("fsGroup {} cannot own volume {}: files of named volumes have "
                                  "groups 0 to 65535",
                                  *pod.fs_group, volume.name));
  }
  return {};
}

base::Result<> check_layer(std::string_view id) {
  const bool fits = id.size() == 64 && std::ranges::all_of(id, [](char c) {
                      return is_digit(c) || (c >= 'a' && c <= 'f');
                    });
  if (fits) return {};
  return wrong("a layer", id, "64 hexadecimal digits");
}

/// What is no UTF-8 has no form in config.json; the OCI runtime would get other bytes.
bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80                   ? 1
                               : lead >= 0xc2 && lead < 0xe0 ? 2
                               : lead >= 0xe0 && lead < 0xf0 ? 3
                               : lead >= 0xf0 && lead < 0xf5 ? 4
                                                             : 0;
    if (length == 0 || i + length > text.size()) return false;
    std::uint32_t point = length == 1 ? lead : lead & (0x7fu >> length);
    for (std::size_t j = 1; j < length; ++j) {
      const auto byte = static_cast<unsigned char>(text[i + j]);
      if ((byte & 0xc0) != 0x80) return false;
      point = point << 6 | (byte & 0x3f);
    }
    if ((length == 3 && (point < 0x800 || (point >= 0xd800 && point < 0xe000))) ||
        (length == 4 && (point < 0x10000 || point > 0x10ffff))) {
      return false;
    }
    i += length;
  }
  return true;
}

base::Result<> check_words(const std::vector<std::string>& words, std::string_view what) {
  TRY_DO(check_count(words.size(), kArgumentsMax, what));
  for (const auto& word : words) {
    TRY_DO(check_text(word, kArgumentBytesMax, what));
    if (!is_utf8(word)) return wrong(what, word, "UTF-8");
  }
  return {};
}

base::Result<> check_container(const StartContainer& start) {
  const auto& [spec, image, logs] = start;
  TRY_DO(check_id(spec.id));
  TRY_DO(check_text(spec.image, 4096, "the image's name"));
  TRY_DO(check_count(spec.mounts.size(), kMountsMax, "volume mounts"));
  for (const auto& mount : spec.mounts) {
    TRY_DO(check_label(mount.volume, "a mounted volume"));
    TRY_DO(check_absolute_path(mount.path, "a mount's path"));
    if (mount.path == "/proc" || mount.path.starts_with("/proc/")) {
      return wrong("a mount's path", mount.path, "outside /proc");
    }
    if (!mount.sub_path.empty()) TRY_DO(check_relative_path(mount.sub_path, "a mount's subPath"));
  }
  TRY_DO(effective_capabilities(spec.security.capabilities_add, spec.security.capabilities_drop,
                                false));
  TRY_DO(check_count(spec.security.supplemental_groups.size(), kGroupsMax, "supplementary groups"));
  TRY_DO(check_count(image.layers.size(), kLayersMax, "layers"));
  if (image.layers.empty()) return base::fail(Errc::InvalidArgument, "the image has no layers");
  for (const auto& layer : image.layers) TRY_DO(check_layer(layer));
  if (image.args.empty() || image.args[0].empty()) {
    return std::unexpected(base::with_hint(
        base::make_error(Errc::InvalidArgument,
                         "no command: neither the image nor the container names one"),
        "set the container's command"));
  }
  TRY_DO(check_words(image.args, "words of the command"));
  TRY_DO(check_words(image.env, "environment variables"));
  for (const auto& variable : image.env) {
    if (variable.find('=') == variable.npos || variable.starts_with('=')) {
      return wrong("an environment variable", variable, "NAME=value");
    }
  }
  if (!image.working_directory.empty() && image.working_directory != "/") {
    TRY_DO(check_absolute_path(image.working_directory, "the working directory"));
  }
  TRY_DO(check_text(image.user, 256, "the image's user"));
  if (image.stop_signal < 1 || image.stop_signal > 64) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("stop signal {}; must be 1 to 64", image.stop_signal));
  }
  if (logs.file_bytes_max < kLogFileBytesMin || logs.file_bytes_max > kLogFileBytesMax) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("a log file of {} bytes; must be {} to {}", logs.file_bytes_max,
                                  kLogFileBytesMin, kLogFileBytesMax));
  }
  if (logs.files_max < 1 || logs.files_max > kLogFilesMax) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("{} log files; must be 1 to {}", logs.files_max, kLogFilesMax));
  }
  return {};
}

struct Checker {
  base::Result<> operator()(const CreatePod& r) const { return check_pod(r.spec); }
  base::Result<> operator()(const StartContainer& r) const { return check_container(r); }
  base::Result<> operator()(const StopContainer& r) const {
    if (r.grace < base::Duration::zero())
      return base::fail(Errc::InvalidArgument, "the grace period is negative");
    return check_id(r.id);
  }
  base::Result<> operator()(const SignalContainer& r) const {
    if (r.signal < 1 || r.signal > 64) {
      return base::fail(Errc::InvalidArgument, fmt::format("signal {}; must be 1 to 64", r.signal));
    }
    return check_id(r.id);
  }
  base::Result<> operator()(const SetLimits& r) const { return check_id(r.id); }
  base::Result<> operator()(const UpdateFiles& r) const {
    TRY_DO(check_pod_uid(r.pod_uid));
    TRY_DO(check_label(r.volume, "a volume's name"));
    return check_files(r.files);
  }
  base::Result<> operator()(const RemovePod& r) const { return check_pod_uid(r.uid); }
  base::Result<> operator()(const Exec& r) const {
    TRY_DO(check_id(r.spec.container));
    if (r.spec.command.empty() || r.spec.command[0].empty()) {
      return base::fail(Errc::InvalidArgument, "no command to run in the container");
    }
    return check_words(r.spec.command, "words of the command");
  }
  base::Result<> operator()(const Attach& r) const { return check_id(r.id); }
  base::Result<> operator()(const Connect& r) const {
    if (r.port == 0) return base::fail(Errc::InvalidArgument, "port 0; must be 1 to 65535");
    return check_pod_uid(r.pod_uid);
  }
  base::Result<> operator()(const HostSocket& r) const {
    if (r.port == 0) return base::fail(Errc::InvalidArgument, "port 0; must be 1 to 65535");
    return {};
  }
  base::Result<> operator()(const Stats& r) const { return check_pod_uid(r.pod_uid); }
  base::Result<> operator()(const InstallLayer& r) const {
    TRY_DO(check_layer(r.diff_id));
    TRY_DO(check_count(r.parents.size(), kLayersMax, "layers"));
    for (const auto& parent : r.parents) TRY_DO(check_layer(parent));
    return {};
  }
  base::Result<> operator()(const RemoveLayer& r) const { return check_layer(r.id); }
  base::Result<> operator()(const CopyOut& r) const {
    TRY_DO(check_id(r.id));
    return check_text(r.path, kPathBytesMax, "the path");
  }
  base::Result<> operator()(const CopyIn& r) const {
    TRY_DO(check_id(r.id));
    return check_text(r.path, kPathBytesMax, "the path");
  }
  base::Result<> operator()(const ListPods&) const { return {}; }
  base::Result<> operator()(const ListLayers&) const { return {}; }
  base::Result<> operator()(const CloseSession&) const { return {}; }
  base::Result<> operator()(const ApplyServices&) const { return {}; }
  base::Result<> operator()(const PowerOff&) const { return {}; }
};

}  // namespace

base::Result<> check(const Request& request) {
  return std::visit(Checker{}, request);
}

base::Result<> check_pod_uid(std::string_view uid) {
  const bool fits =
      !uid.empty() && uid.size() <= kUidCharactersMax && uid.front() != '.' && uid.front() != '-' &&
      std::ranges::all_of(uid, [](char c) {
        return is_lower(c) || is_upper(c) || is_digit(c) || c == '-' || c == '_' || c == '.';
      });
  if (fits) return {};
  return wrong("the pod's uid", uid, "1 to 128 of a-z A-Z 0-9 - _ and inner dots");
}

base::Result<> check_container_name(std::string_view name) {
  return check_label(name, "the container's name");
}

base::Result<> check_absolute_path(std::string_view path, std::string_view what) {
  TRY_DO(check_text(path, kPathBytesMax, what));
  if (path.ends_with('/')) path.remove_suffix(1);
  if (path.size() < 2 || !path.starts_with('/'))
    return wrong(what, path, "an absolute path below /");
  return check_components(path.substr(1), what);
}

base::Result<> check_relative_path(std::string_view path, std::string_view what) {
  TRY_DO(check_text(path, kPathBytesMax, what));
  if (path.starts_with('/') || path.empty()) return wrong(what, path, "a relative path");
  return check_components(path, what);
}

std::string volume_folder_name(std::string_view volume_name) {
  std::string folder(volume_name);
  std::ranges::replace(folder, '/', '_');
  return folder;
}

}  // namespace hypermesh::keeper
