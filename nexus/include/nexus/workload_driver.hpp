#pragma once

#include <base/async/byte_stream.hpp>
#include <base/async/task.hpp>
#include <functional>
#include <memory>
#include <nexus/workload_types.hpp>
#include <optional>
#include <string>
#include <vector>

namespace nexus {

/// A process that runs in a container for someone outside (exec), or the container's own streams
/// (attach).
class ProcessSession {
 public:
  virtual ~ProcessSession() =
      default;  ///< Ends the session; an exec's process is killed, an attach is not.
  /// Empty at the end of all output.
  virtual base::Task<base::Result<std::optional<OutputChunk>>> read_output() = 0;
  virtual base::Task<base::Result<>> write_input(base::BytesView bytes) = 0;
  virtual base::Task<base::Result<>> close_input() = 0;
  virtual base::Task<base::Result<>> resize(std::uint16_t rows, std::uint16_t columns) = 0;
  /// Exit code, 128 + signal when killed. After the output ended.
  virtual base::Task<base::Result<int>> wait() = 0;
};

class LogReader {
 public:
  virtual ~LogReader() = default;
  /// Empty at the end (never while following a living pod).
  virtual base::Task<base::Result<std::optional<LogRecord>>> next() = 0;
};

/// Runs pods on this node. A pod is a sandbox (addresses, volumes) with containers in it.
///
/// Every call can be repeated after a crash of the caller and then finds its work done: the driver,
/// not the caller, is the record of what runs. Calls are made on one executor, and none blocks it.
/// Implementations: HyperMesh's container runtime; ProcessWorkloadDriver (plain processes, nexusd
/// alone).
class WorkloadDriver {
 public:
  virtual ~WorkloadDriver() = default;

  /// Makes the image present. Errors: NotFound (no such image), Forbidden (registry refuses),
  /// Unavailable, NotVerified (digest), FailedPrecondition (policy Never and not present).
  virtual base::Task<base::Result<ImageStatus>> pull_image(
      std::string reference, PullPolicy policy, std::optional<RegistryCredentials> credentials) = 0;

  /// Makes the sandbox, or finds the one of the same uid.
  virtual base::Task<base::Result<PodStatus>> create_pod(PodSpec spec) = 0;
  /// Starts attempt `spec.attempt`, or finds it started. Resumes once its first process runs.
  virtual base::Task<base::Result<ContainerStatus>> start_container(ContainerSpec spec) = 0;
  /// SIGTERM (or the image's stop signal), after `grace` SIGKILL. Resumes when the container has
  /// ended.
  virtual base::Task<base::Result<ContainerStatus>> stop_container(ContainerId id,
                                                                   base::Duration grace) = 0;
  virtual base::Task<base::Result<>> signal_container(ContainerId id, int signal) = 0;
  /// Takes effect at once, without a restart.
  virtual base::Task<base::Result<>> set_limits(ContainerId id, ResourceLimits limits) = 0;
  /// Replaces the content of a FilesVolume; readers see the old set or the new one, never a
  /// mixture.
  virtual base::Task<base::Result<>> update_files(std::string pod_uid, std::string volume,
                                                  std::vector<VolumeFile> files) = 0;
  /// Kills what still runs and removes every trace; named volumes stay. Not an error when there is
  /// nothing.
  virtual base::Task<base::Result<>> remove_pod(std::string uid) = 0;
  /// Everything that exists on this node.
  virtual base::Task<base::Result<std::vector<PodStatus>>> list_pods() = 0;

  virtual base::Task<base::Result<std::unique_ptr<ProcessSession>>> exec(ExecSpec spec) = 0;
  virtual base::Task<base::Result<std::unique_ptr<ProcessSession>>> attach(ContainerId id) = 0;
  virtual base::Task<base::Result<std::unique_ptr<LogReader>>> logs(LogQuery query) = 0;
  /// Connects to a port on the pod's loopback, for port-forward.
  virtual base::Task<base::Result<std::unique_ptr<base::ByteStream>>> connect(
      std::string pod_uid, std::uint16_t port) = 0;
  /// `path` of a running container (a file, or a folder with all in it) as a tar stream, also from
  /// images without a tar of their own. The stream fails when the copy does. Errors: NotFound,
  /// FailedPrecondition (not running).
  virtual base::Task<base::Result<std::unique_ptr<base::ByteStream>>> copy_out(
      ContainerId id, std::string path) = 0;
  /// Unpacks a tar stream below the folder `path` of a running container: write it, close_write(),
  /// then read until the end, which comes when everything is in its place; read() fails when the
  /// copy does.
  virtual base::Task<base::Result<std::unique_ptr<base::ByteStream>>> copy_in(ContainerId id,
                                                                              std::string path) = 0;
  virtual base::Task<base::Result<std::vector<ContainerStats>>> stats(std::string pod_uid) = 0;

  /// `listener` is called on the caller's executor for every event from now on; one listener at a
  /// time.
  virtual void listen(std::function<void(DriverEvent)> listener) = 0;
};

}  // namespace nexus
