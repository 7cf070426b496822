#pragma once

// What of a pod a plain process can have. All else is refused by its name, never passed over.

#include <nexus/workload_types.hpp>

#include "process/records.hpp"

namespace nexus::process {

/// The user that processes run as: the daemon's.
struct OwnUser {
  std::uint32_t user = 0, group = 0;
};

/// `reference` is the absolute path of a program. Errors: InvalidArgument (says what is allowed).
base::Result<> check_image(std::string_view reference);
/// Errors: InvalidArgument (a name that makes no folder), Unsupported (everything that a plain
/// process cannot have, by name).
base::Result<> check_pod(const PodSpec& spec);
/// `pod` is the container's. Errors: as check_pod.
base::Result<> check_container(const ContainerSpec& spec, const PodRecord& pod, OwnUser own);
/// Errors: Unsupported (a limit).
base::Result<> check_limits(const ResourceLimits& limits);
/// It may name a folder. Errors: InvalidArgument.
base::Result<> check_name(std::string_view name, std::string_view what);

PodRecord record_of(const PodSpec& spec);

}  // namespace nexus::process
