#pragma once

#include <functional>

#include "../transport/quic_node.hpp"
#include "consensus/node/request_client.hpp"
#include "replica_folder.hpp"
#include "stoq/peers.hpp"

namespace bench {

/// A client that trusts no single replica: it signs what it orders itself, sends it to all, and
/// takes an outcome for true when f + 1 say the same. So it needs nobody's connection in
/// particular. All calls are made on one executor; end it with stop().
class SureClient {
 public:
  using Done = std::function<void(base::Result<std::uint64_t>)>;
  using StatusReply = hypermesh::consensus::StatusReply;
  using RequestClient = hypermesh::consensus::RequestClient;

  /// In the name of an identity of the folder, "client" or "operator", to its replicas 0 to
  /// `replicas` - 1, of whom `voters` vote at the beginning.
  SureClient(const base::Executor& executor, const std::filesystem::path& folder,
             const char* identity, std::size_t replicas, std::size_t voters);
  base::Task<> stop();

  /// `done` gets the outcome's number. Fewer than kClientWindow under way. Errors: the outcome's,
  /// and of the last replica that gave none, when f + 1 cannot agree any more.
  void order(base::Bytes command, Done done);
  base::Task<base::Result<std::uint64_t>> order(base::Bytes command);

  RequestClient& replica(std::size_t i) { return *replicas_.at(i); }
  std::size_t replicas() const { return replicas_.size(); }
  /// Errors: TimedOut (it does not run), of the stream.
  base::Task<base::Result<StatusReply>> status(std::size_t replica);
  /// Every replica with what it says of itself, as long as all answer.
  base::Task<base::Result<std::vector<StatusReply>>> statuses();
  const base::PublicKey& key_of(std::size_t replica) const { return keys_.at(replica); }
  const base::Clock& clock() const { return clock_; }
  const base::Executor& executor() const { return executor_; }

 private:
  base::Executor executor_;
  base::SystemRng rng_;
  base::SystemClock clock_;
  QuicNode quic_;
  std::unique_ptr<stoq::rpc::Peers> peers_;
  hypermesh::consensus::ClusterId cluster_{};
  std::size_t faulty_max_ = 0;
  std::vector<base::PublicKey> keys_;
  std::vector<std::unique_ptr<RequestClient>> replicas_;
  std::uint64_t next_;
};

}  // namespace bench
