#pragma once

// Brings a ServiceTable into the kernel: nft for the rules, connection tracking for what has begun.

#include <optional>
#include <string>

#include "datapath/addressing.hpp"
#include "datapath/nft_rules.hpp"
#include "datapath/service_table.hpp"

namespace hypermesh::datapath {

/// Runs `nft -f -` with `script` in the calling thread's network namespace and waits for it: all of
/// it takes effect or nothing. Errors: FailedPrecondition (no nft on this machine), Internal (nft's
/// words), TimedOut.
base::Result<> run_nft(const std::string& script);

/// The node's own table. One for a node, in the process that owns the node's network; the calling
/// thread is in its network namespace. Calls block, a change for about ten milliseconds.
class ServiceTableDriver {
 public:
  explicit ServiceTableDriver(NodeIdentity node) : node_(std::move(node)) {}

  /// Makes `table` what the kernel does, in one step. The first call replaces whatever an earlier
  /// process left. When a change fails because somebody else touched our table, the whole table is
  /// written anew. Errors: InvalidArgument (an address that is no service's of this cluster); after
  /// any error the kernel has the table of the last success.
  base::Result<> apply(const ServiceTable& table);

  /// Takes everything of ours out of the kernel.
  base::Result<> remove();

 private:
  NodeIdentity node_;
  std::optional<ServiceTable> installed_;
  std::vector<StaleFlow> stale_;  // to be forgotten still
};

}  // namespace hypermesh::datapath
