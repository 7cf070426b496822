#pragma once

#include <base/bytes.hpp>
#include <set>
#include <string>
#include <vector>

#include "runtime/keeper/os.hpp"

namespace hypermesh::keeper {

/// What pods need of the node's network. Calls block, for some milliseconds; those about services
/// as long as nft takes, which is given up after 30 s.
///
/// Implementations: DatapathNetwork; NoNetwork (tests: pods have their loopback only).
class NodeNetwork {
 public:
  virtual ~NodeNetwork() = default;
  /// Of the pod in this slot (1 to 253), IPv6 first.
  virtual base::Result<std::vector<std::string>> addresses(std::uint16_t slot) = 0;
  /// The node's own, for pods that share its network, and as their DNS servers.
  virtual std::vector<std::string> node_addresses() = 0;
  /// `link` names the link of a sandbox from now on.
  virtual base::Result<> attach(const std::string& link, std::uint16_t slot, int netns_fd) = 0;
  virtual base::Result<> detach(const std::string& link) = 0;
  /// Removes all links but these.
  virtual base::Result<> keep_only(const std::set<std::string>& links) = 0;
  virtual base::Result<> apply_services(base::BytesView table) = 0;
  /// Takes away what apply_services made.
  virtual base::Result<> remove_services() = 0;
  /// A socket of the machine's network namespace. Errors: Unsupported (the node has none of its
  /// own: its own sockets reach the machine's loopback).
  virtual base::Result<UniqueFd> machine_socket(int family, int type) = 0;
};

class NoNetwork final : public NodeNetwork {
 public:
  base::Result<std::vector<std::string>> addresses(std::uint16_t) override {
    return std::vector<std::string>{};
  }
  std::vector<std::string> node_addresses() override { return {"::1"}; }
  base::Result<> attach(const std::string&, std::uint16_t, int) override { return {}; }
  base::Result<> detach(const std::string&) override { return {}; }
  base::Result<> keep_only(const std::set<std::string>&) override { return {}; }
  base::Result<> apply_services(base::BytesView) override {
    return base::fail(base::Errc::Unsupported, "this keeper has no network");
  }
  base::Result<> remove_services() override { return {}; }
  base::Result<UniqueFd> machine_socket(int, int) override {
    return base::fail(base::Errc::Unsupported, "this keeper has no network");
  }
};

}  // namespace hypermesh::keeper
