#pragma once

#include <nexus/workload_driver.hpp>

#include "runtime/client/keeper_client.hpp"

namespace hypermesh {

/// A command in a container. `client` is borrowed.
std::unique_ptr<nexus::ProcessSession> make_exec_session(KeeperClient& client,
                                                         KeeperClient::Session session,
                                                         bool terminal, bool stdin_open);
/// The container's own streams. `ends` is watched since before the session was asked for.
std::unique_ptr<nexus::ProcessSession> make_attach_session(
    KeeperClient& client, std::shared_ptr<const KeeperClient::ContainerEnds> ends,
    KeeperClient::Session session);

}  // namespace hypermesh
