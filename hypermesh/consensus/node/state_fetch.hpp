#pragma once

#include <base/async/blocking_pool.hpp>
#include <base/async/task_scope.hpp>
#include <base/log.hpp>
#include <deque>
#include <functional>
#include <map>
#include <stoq/peers.hpp>

#include "consensus/node/frame.hpp"
#include "state/transfer_fetcher.hpp"
#include "state/transfer_sources.hpp"

namespace hypermesh::consensus {

/// Fetches a checkpoint's state from several nodes at once. All calls are made on one executor.
class StateFetch {
 public:
  using Sources = std::map<stoq::NodeId, stoq::Endpoint>;

  /// All are borrowed and outlive stop().
  StateFetch(const base::Executor& executor, base::BlockingPool& pool, stoq::rpc::Peers& peers,
             state::Storage& storage, base::Log log);

  /// Nothing else may write to the storage meanwhile. On success it holds the target's state:
  /// Machine::reload(). What was fetched before an error is kept for the next attempt.
  /// `newer`: whether a newer checkpoint could be fetched instead. Then a source that does not help
  /// ends it, before the sources keep neither.
  /// Errors: NotFound (no source keeps the checkpoint any more), Unavailable (no source answers),
  /// NotVerified (all that answer lie), of the storage.
  base::Task<base::Result<state::TransferProgress>> run(state::TransferTarget target,
                                                        Sources sources,
                                                        std::function<bool()> newer);
  base::Task<> stop();

 private:
  using Asked = state::TransferSources<stoq::NodeId>::Asked;
  struct Answer {
    std::uint64_t id = 0;
    Asked asked;
    base::Result<Frame> frame;
  };

  base::Task<> ask(stoq::Endpoint endpoint, Asked asked, std::uint64_t id, Frame request);

  base::BlockingPool& pool_;
  stoq::rpc::Peers& peers_;
  state::Storage& storage_;
  base::Log log_;
  base::TaskScope scope_;
  base::Event answered_;
  state::TransferSources<stoq::NodeId> sources_;
  std::deque<Answer> answers_;  // Also to what an earlier run asked.
};

}  // namespace hypermesh::consensus
