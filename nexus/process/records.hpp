#pragma once

// What is on disk about pods and their containers, so that a later daemon knows them. Each record
// is a small JSON file of its own, replaced whole. Environment and arguments are not in them: they
// may hold secrets.

#include <map>
#include <nexus/workload_types.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace nexus::process {

/// pods/<uid>/pod.json
struct PodRecord {
  std::string uid, name_space, name, hostname;
  std::map<std::string, std::string> host_paths;  ///< Volume to path on this machine.
  bool operator==(const PodRecord&) const = default;
};

/// A process of this machine. A pid is used again by others; with the time of its start it names
/// one process of one boot.
struct ProcessName {
  std::int32_t pid = 0;
  std::uint64_t start_ticks = 0;  ///< Field 22 of /proc/<pid>/stat.
  bool operator==(const ProcessName&) const = default;
};

/// <attempt>/container.json: this attempt is wanted.
struct AttemptRecord {
  std::string image;
  bool operator==(const AttemptRecord&) const = default;
};
/// <attempt>/running.json: its process was started.
struct RunningRecord {
  ProcessName supervisor, process;
  base::WallTime started{};
  bool operator==(const RunningRecord&) const = default;
};
/// <attempt>/exit.json: it has ended.
struct ExitRecord {
  std::int32_t exit_code = 0;
  std::int32_t signal = 0;
  base::WallTime finished{};
  std::string message;
  bool operator==(const ExitRecord&) const = default;
};

std::string encode(const PodRecord& record);
std::string encode(const AttemptRecord& record);
std::string encode(const RunningRecord& record);
std::string encode(const ExitRecord& record);
/// Errors: DataLoss.
base::Result<PodRecord> decode_pod(std::string_view json);
base::Result<AttemptRecord> decode_attempt(std::string_view json);
base::Result<RunningRecord> decode_running(std::string_view json);
base::Result<ExitRecord> decode_exit(std::string_view json);

/// Everything that is known of one attempt.
struct AttemptFacts {
  AttemptRecord wanted;
  std::optional<RunningRecord> running;
  std::optional<ExitRecord> exit;
  bool supervised = false;  ///< Its supervisor lives, so that an end will be recorded.
};

/// `signal` is 0 unless one ended it.
ExitRecord exit_of(int code, int signal, base::WallTime finished);
/// The end of a process whose supervisor is gone without a word.
ExitRecord lost_exit(base::WallTime noticed);

ContainerStatus status_of(ContainerId id, std::uint32_t attempt, const AttemptFacts& facts);

}  // namespace nexus::process
