#pragma once

// Where a node's API answers: a unix socket, and HTTPS on the node's addresses and loopback.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "api/api_server.hpp"

namespace nexus {

struct ApiEndpointOptions {
  std::filesystem::path socket;        ///< run/api.sock
  std::filesystem::path folder;        ///< Certificate, key and tokens; made on first start.
  std::vector<std::string> addresses;  ///< Literals to serve HTTPS on.
  std::uint16_t port = 8443;
  std::string node;  ///< Name in the certificate.
};

/// Starts serving on all of them. Errors: AlreadyExists (an address or the socket is in use),
/// Forbidden, FailedPrecondition (a private file that others may read).
base::Result<std::unique_ptr<api::ApiServer>> open_api(base::Executor executor,
                                                       api::Backend backend,
                                                       const ApiEndpointOptions& options,
                                                       std::size_t connections_max);

}  // namespace nexus
