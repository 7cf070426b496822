#pragma once

#include <base/config/effective.hpp>
#include <stoq/types.hpp>

namespace stoq {

struct NodeConfig {
  std::string identity_path;  ///< Made on first start.
  Endpoint listen;            ///< Port 0: any that is free.
  bool ipv4_peers = false;
  std::size_t connections_max = 10'000;
  base::Duration certificate_life = std::chrono::hours(24);
  base::Duration key_life = std::chrono::hours(24);  ///< Of traffic and ticket keys.
  base::Duration idle_timeout = std::chrono::seconds(30);
  std::string certificate_path;  ///< Folder of injected certificates; empty: our own identity.
  std::string qlog_path;         ///< Folder; empty: none.
  bool allow_bench = false;      ///< Transfers for whoever connects.
  bool bbr = false;              ///< Else CUBIC.
  unsigned cores = 1;
};

/// Of a key whose value the loader has checked.
Endpoint listen_address(const base::config::Endpoint& bind);

/// Where others reach who listens on `listening`: there, or at `own_address` if that is any
/// address.
std::string reached_at(const Endpoint& listening, std::string_view own_address);

/// What stoq.transport says.
NodeConfig node_config(const base::config::Effective& config, std::string identity_path);

}  // namespace stoq
