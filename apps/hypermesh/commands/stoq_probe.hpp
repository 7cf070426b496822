#pragma once

#include <base/async/task.hpp>
#include <memory>
#include <stoq/rpc.hpp>
#include <stoq/transport.hpp>

#include "commands/stoq_target.hpp"

namespace cli {

struct StoqProbeOptions {
  bool bbr = false;
  std::string qlog_folder;  ///< Empty: no qlog.
};

/// A stranger to the cluster, with an identity of its own that lasts as long as it does, who looks
/// at a node's transport. Used on its executor.
class StoqProbe {
 public:
  struct Reached {
    std::shared_ptr<stoq::Connection> connection;
    base::Duration took;  ///< Until it could be used.
  };

  StoqProbe(base::Executor executor, StoqProbeOptions options);
  ~StoqProbe();

  /// Errors: those of stoq::Transport::connect; NotFound (no such name).
  base::Task<base::Result<Reached>> reach(StoqTarget target,
                                          stoq::rpc::Lane lane = stoq::rpc::Lane::Control,
                                          bool early = false);
  /// What the node showed of itself last (X.509, DER).
  const base::Bytes& certificate() const;
  const base::Clock& clock() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace cli
