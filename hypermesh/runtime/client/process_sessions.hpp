#pragma once

#include <nexus/workload_driver.hpp>

#include "runtime/client/keeper_client.hpp"

namespace hypermesh {

/// A command in a container. `client` is borrowed.
std::unique_ptr<nexus::ProcessSession> make_exec_session(KeeperClient& client,
                                                         KeeperClient::Session session,
                                                         bool terminal, bool stdin_open);
/// The container's own streams.
std::unique_ptr<nexus::ProcessSession> make_attach_session(KeeperClient& client,
                                                           nexus::ContainerId id, UniqueFd socket);

}  // namespace hypermesh
