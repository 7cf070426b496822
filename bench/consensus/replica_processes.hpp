#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>

namespace bench {

/// The replicas of a cluster's folder, a process each. They end with this object and with the
/// thread that made it.
class ReplicaProcesses {
 public:
  explicit ReplicaProcesses(std::filesystem::path folder) : folder_(std::move(folder)) {}
  ~ReplicaProcesses();
  ReplicaProcesses(const ReplicaProcesses&) = delete;
  ReplicaProcesses& operator=(const ReplicaProcesses&) = delete;

  pid_t start(std::size_t replica);
  /// As one pulls a plug: SIGKILL. Returns when it is gone.
  void kill(std::size_t replica);
  /// Bytes of UDP payloads since it began, by its transport's count.
  struct Traffic {
    std::uint64_t sent = 0, received = 0;
  };
  Traffic traffic(std::size_t replica) const;
  bool runs(std::size_t replica) const { return running_.contains(replica); }

 private:
  std::filesystem::path folder_;
  std::map<std::size_t, pid_t> running_;
};

/// The folder of the programs.
std::filesystem::path own_folder();

}  // namespace bench
