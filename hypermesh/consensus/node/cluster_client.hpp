#pragma once

// The cluster to somebody who is no replica and trusts none: what f + 1 replicas answer alike, one
// honest replica says; and what a quorum signed needs one answer only. docs/design/0012.

#include <base/async/task_scope.hpp>
#include <base/random.hpp>
#include <stoq/peers.hpp>

#include "consensus/node/gateway.hpp"
#include "consensus/node/proof_checker.hpp"
#include "consensus/node/request_client.hpp"

namespace hypermesh::consensus {

struct ClusterClientOptions {
  GatewayOptions gateway;
  base::Duration ask_another = std::chrono::milliseconds(250);  ///< When too few have answered.
  base::Duration ask_again = std::chrono::milliseconds(250);    ///< A replica that gave an error.
};

/// How a replica has behaved. Nothing is believed for it; those who lied are asked last.
struct ReplicaScore {
  base::PublicKey replica{};
  std::uint64_t good = 0;
  std::uint64_t silent = 0;  ///< An error or an old state instead of an answer, or no stream.
  std::uint64_t wrong = 0;   ///< An answer that differs from what was accepted, or proves nothing.
};

struct ProvenEntry {
  std::optional<state::KeyValue> entry;  ///< `modified` and `created` are revisions.
  CertifiedState state;
  base::Duration age{};  ///< Of the state, by this client's clock.
};

/// All its calls are made on one executor. Errors of all: TimedOut (too few replicas answered alike
/// in time), those that f + 1 replicas gave, Unavailable (it was stopped).
class ClusterClient {
 public:
  /// All are borrowed and outlive stop(). `key` is that of a member of any role, and no other
  /// program uses it at the same time; its transport proves it.
  struct Parts {
    base::Executor executor;
    stoq::rpc::Peers* peers;
    const base::Clock* clock;
    const base::SigningKey* key;
    Genesis genesis;
  };
  explicit ClusterClient(Parts parts, ClusterClientOptions options = {});
  ~ClusterClient();
  /// When no other call is under way.
  base::Task<> stop();

  /// Orders a command, signed by this client, through several replicas: no one of them can keep it
  /// from the others. Errors: those of the command; NoQuorum (it will not take effect), TimedOut
  /// (it may).
  base::Task<base::Result<std::uint64_t>> order(base::Bytes command, base::Duration limit);
  /// Likewise an operation on the state, with a deadline in ordered time before `limit` is over.
  base::Task<base::Result<std::uint64_t>> change(decltype(state::Operation::action) action,
                                                 base::Duration limit);

  /// Shows everything that was acknowledged before the call.
  base::Task<base::Result<std::optional<state::KeyValue>>> get(std::string key,
                                                               base::Duration limit);
  /// Likewise; a page is complete.
  base::Task<base::Result<state::RangePage>> range(state::RangeQuery query, base::Duration limit);
  /// Changes after a revision, complete up to EventPage::up_to; none when the time is over. Events
  /// have no `previous`: replicas forget them at different times.
  base::Task<base::Result<state::EventPage>> changes(std::string prefix, state::Revision after,
                                                     base::Duration limit);

  /// As of the newest certified checkpoint that a replica has: old, but proven.
  base::Task<base::Result<ProvenEntry>> get_stale(std::string key, base::Duration limit);
  /// Every change under `prefix` after `from` up to such a checkpoint, proven to be all. `from`:
  /// state::Head{}, or what the call before gave.
  base::Task<base::Result<ProvenChanges>> proven_changes(std::string prefix, state::Head from,
                                                         base::Duration limit);
  /// Finds out who is a member and who votes now. Called by itself when replicas do not agree.
  base::Task<base::Result<>> follow_members(base::Duration limit);

  std::vector<ReplicaScore> scores() const;
  const Voters& voters() const { return checker_.voters(); }

 private:
  struct Replica;
  using ReplicaPtr = std::shared_ptr<Replica>;
  struct Round;
  using RoundPtr = std::shared_ptr<Round>;
  using Answer = RequestClient::Answer;
  /// Gives the answer to accept, as soon as there is one.
  using Decide = std::function<std::optional<Answer>(Round&)>;

  void set_members(const std::vector<Member>& members);
  RoundPtr make_round();
  void ask(const RoundPtr& round, std::size_t seat, const RequestClient::What& what,
           base::MonotonicTime deadline);
  base::Task<Answer> agree(RequestClient::What what, std::size_t at_first,
                           base::MonotonicTime deadline, Decide decide);
  std::optional<Answer> alike(Round& round, const std::function<bool(Answer&)>& adapt,
                              bool others_lie);
  template <class R, class Request, class Revision>
  base::Task<base::Result<R>> read(Request request, base::Duration limit, Revision revision);
  template <class R, class Check>
  auto prove(RequestClient::What what, base::Duration limit, Check check)
      -> base::Task<decltype(check(std::declval<const R&>()))>;
  base::Task<> send_bundles();
  base::Task<> deliver(BundlePtr bundle);
  base::Task<> follow();

  const Parts parts_;
  const ClusterClientOptions options_;
  ProofChecker checker_;
  Gateway gateway_;
  std::vector<ReplicaPtr> replicas_;  // That vote.
  std::vector<ReplicaPtr> gone_;      // That did.
  base::TaskScope scope_;
  base::Event ready_;
  std::size_t turn_ = 0;
  bool following_ = false;
};

}  // namespace hypermesh::consensus
