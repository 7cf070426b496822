#pragma once

#include <base/bytes.hpp>
#include <functional>
#include <nexus/service_network.hpp>

namespace hypermesh::datapath {

/// ServiceNetwork of the daemon: compiles the table and has the keeper, which has the right to, put
/// it into the kernel.
class KeeperServiceNetwork final : public nexus::ServiceNetwork {
 public:
  /// Hands an encoded table (service_table.hpp) to the keeper and resumes when the kernel uses it.
  using Send = std::function<base::Task<base::Result<>>(base::Bytes table)>;

  explicit KeeperServiceNetwork(Send send) : send_(std::move(send)) {}

  /// Errors: InvalidArgument (names the service), Unavailable (no keeper), Internal (the kernel
  /// refuses).
  base::Task<base::Result<>> apply(std::vector<nexus::ServicePort> ports) override;

  /// For a keeper that was started anew and knows no table: sends the last one again.
  base::Task<base::Result<>> send_again();
  /// The same until it succeeded, `pause` after the first failure and longer after each further
  /// one. A call while another one is at it makes that one start over. `failed` is told of each.
  base::Task<> tell_new_keeper(base::Duration pause,
                               std::function<void(const base::Error&)> failed);

 private:
  Send send_;
  bool telling_ = false;
  unsigned new_keepers_ = 0;
  base::Bytes last_;  // empty: nothing was applied yet
};

}  // namespace hypermesh::datapath
