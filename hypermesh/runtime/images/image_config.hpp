#pragma once

#include <base/time.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/images/digest.hpp"
#include "runtime/images/platform.hpp"

namespace hypermesh {

inline constexpr std::size_t kConfigBytesMax = 8u << 20;

/// How an image wants to be run, and what its layers are once unpacked (OCI image spec, config.md).
struct ImageConfig {
  Platform platform;
  std::optional<base::WallTime> created;
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::vector<std::string> env;            ///< "NAME=value"
  std::string user;                        ///< "1000", "web", "1000:1000", "web:staff" or empty.
  std::string working_directory;           ///< Absolute or empty.
  std::string stop_signal;                 ///< "SIGTERM", "15" or empty.
  std::vector<std::string> exposed_ports;  ///< "8080/tcp"
  std::vector<std::string> volumes;        ///< Absolute paths.
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<ContentDigest> diff_ids;  ///< Of the uncompressed layers, bottom first.
};

/// Errors: InvalidArgument (malformed), Unsupported (not linux).
base::Result<ImageConfig> parse_image_config(std::string_view json, std::string_view what);

/// Names the stack of layers up to each one: chain[i] covers diff_ids[0..i] (OCI image spec,
/// config.md, Layer ChainID).
std::vector<ContentDigest> chain_ids(const std::vector<ContentDigest>& diff_ids);

}  // namespace hypermesh
