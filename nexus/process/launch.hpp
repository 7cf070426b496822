#pragma once

// What a process is started with.

#include <nexus/workload_types.hpp>
#include <string>
#include <vector>

#include "process/records.hpp"

namespace nexus::process {

/// Carries secrets in its environment: it travels in memory and is never written to a disk.
struct Launch {
  std::vector<std::string> arguments;    ///< The first is a path, or a name that PATH leads to.
  std::vector<std::string> environment;  ///< "NAME=value"
  std::string folder;                    ///< Where it begins.
  bool no_new_privileges = true;
  bool operator==(const Launch&) const = default;
};

/// The variable by which every process of a container is known, also after it left its parents:
/// "<pod uid>/<container>/<attempt>".
inline constexpr std::string_view kMarkVariable = "HYPERMESH_CONTAINER";
/// "HYPERMESH_CONTAINER=<pod uid>/<container>/<attempt>"; without a container the beginning that
/// all of the pod have.
std::string mark_of(const ContainerId& id, std::uint32_t attempt);
std::string mark_of_pod(std::string_view pod_uid);

/// `spec` was checked; `work` is the pod's folder for what it writes.
Launch launch_of(const ContainerSpec& spec, const PodRecord& pod, const std::string& work);
/// A command beside a container that was started by `container`.
Launch beside(const Launch& container, std::vector<std::string> command);

base::Bytes encode(const Launch& launch);
/// Errors: DataLoss.
base::Result<Launch> decode_launch(base::BytesView bytes);

/// Why a program did not start, as the process that should have become it says.
struct StartFailure {
  int error_number = 0;
  std::string what;  ///< "cannot start /bin/x"
};
std::string encode(const StartFailure& failure);
/// The error that `report` tells of.
base::Error start_error(std::string_view report);

}  // namespace nexus::process
