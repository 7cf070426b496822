#pragma once

// Where things are below the driver's folder:
//
//   pods/<uid>/pod.json
//   pods/<uid>/work                                    where its processes begin
//   pods/<uid>/containers/<name>/<attempt>/container.json, running.json, exit.json
//                                          lock        held by the supervisor while it lives
//                                          log, log.1  output; log.1 is the older half
//   pods/.removed-<uid>                                is being deleted

#include <fmt/format.h>

#include <filesystem>
#include <string>

namespace nexus::process {

using Path = std::filesystem::path;

inline constexpr std::string_view kRemovedBeginning = ".removed-";
inline constexpr const char* kPodFile = "pod.json";
inline constexpr const char* kContainerFile = "container.json";
inline constexpr const char* kRunningFile = "running.json";
inline constexpr const char* kExitFile = "exit.json";
inline constexpr const char* kLockFile = "lock";
inline constexpr const char* kLogFile = "log";
inline constexpr const char* kOlderLogFile = "log.1";
inline constexpr std::size_t kRecordBytesMax = 1u << 20;

struct Places {
  Path folder;

  Path pods() const { return folder / "pods"; }
  Path pod(const std::string& uid) const { return pods() / uid; }
  Path removed(const std::string& uid) const {
    return pods() / fmt::format("{}{}", kRemovedBeginning, uid);
  }
  Path work(const std::string& uid) const { return pod(uid) / "work"; }
  Path containers(const std::string& uid) const { return pod(uid) / "containers"; }
  Path container(const std::string& uid, const std::string& name) const {
    return containers(uid) / name;
  }
  Path attempt(const std::string& uid, const std::string& name, std::uint32_t attempt) const {
    return container(uid, name) / std::to_string(attempt);
  }
};

}  // namespace nexus::process
