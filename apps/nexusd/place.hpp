#pragma once

#include <base/config/effective.hpp>
#include <filesystem>
#include <string>
#include <vector>

namespace apps {

/// Where a node without HyperMesh is, which nobody allots anything to: its configuration says all.
struct Place {
  std::string name;
  std::vector<std::string> addresses;  ///< IPv6 first; pods share them.
  std::filesystem::path identity;      ///< File of the node's key, made on first start.
  std::filesystem::path state;         ///< The daemon's own; private.
  std::filesystem::path run;           ///< Sockets.
};

/// `host_name` is the node's name when the configuration gives none. The addresses are those that
/// the API and DNS listen on; where these say "any", loopback.
Place find_place(const base::config::Effective& config, const std::string& host_name);

}  // namespace apps
