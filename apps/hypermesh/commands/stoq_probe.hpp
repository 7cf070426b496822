#pragma once

#include <base/async/task.hpp>
#include <memory>
#include <stoq/rpc.hpp>
#include <stoq/transport.hpp>

#include "command/command.hpp"
#include "commands/stoq_target.hpp"

namespace cli {

class Arguments;
class Session;

// What the commands of the family share.
inline constexpr Argument kStoqTarget[] = {{.name = "[NODE@]HOST[:PORT]", .required = false}};
inline constexpr Flag kStoqQlog = {
    "qlog", '\0', "FOLDER", "write a qlog file of each connection", false, {}, Completes::Folder};
inline constexpr base::Duration kStoqConnectLimit = std::chrono::seconds(15);

/// The first word, or where the node of the context listens. Errors: InvalidArgument, NotFound.
base::Result<StoqTarget> stoq_target(Session& session, const Arguments& arguments);

double millis(base::Duration took);
/// "0.48 ms"
std::string show_millis(base::Duration took);

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
