#pragma once

// What the keeper writes down, so that its successor knows what there was. A record is a file of
// its own, replaced whole; it begins with its kind and version.

#include "runtime/core/keeper_protocol.hpp"

namespace hypermesh::keeper {

inline constexpr std::uint16_t kRecordVersion = 1;
inline constexpr std::size_t kRecordBytesMax = 4u << 20;

struct PodRecord {
  std::string boot_id;     ///< Of the machine's start that made the sandbox.
  std::uint16_t slot = 0;  ///< Its range of ids and its addresses follow from it.
  nexus::PodSpec spec;     ///< Without the content of files, which may be secret.
};

/// One attempt of a container. What it runs with (command, environment) is not kept: it may hold
/// secrets.
struct ContainerRecord {
  std::string boot_id;
  std::vector<std::string> layers;
  std::int32_t stop_signal = 15;
  nexus::ContainerStatus status;
};

base::Bytes encode_pod_record(const PodRecord& record);
/// Errors: DataLoss (damaged), Unsupported (a later version's).
base::Result<PodRecord> decode_pod_record(base::BytesView bytes);
base::Bytes encode_container_record(const ContainerRecord& record);
base::Result<ContainerRecord> decode_container_record(base::BytesView bytes);

}  // namespace hypermesh::keeper
