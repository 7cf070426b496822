#pragma once

#include <base/async/blocking_pool.hpp>
#include <base/async/task_scope.hpp>
#include <base/log.hpp>
#include <deque>
#include <map>
#include <set>
#include <stoq/peers.hpp>

#include "consensus/node/frame.hpp"
#include "state/transfer_fetcher.hpp"

namespace hypermesh::consensus {

/// Fetches a checkpoint's state from several nodes at once. One that answers wrongly is asked no
/// more, one that does not answer is asked less. All calls are made on one executor.
class StateFetch {
 public:
  using Sources = std::map<stoq::NodeId, stoq::Endpoint>;

  /// All are borrowed and outlive stop().
  StateFetch(const base::Executor& executor, base::BlockingPool& pool, stoq::rpc::Peers& peers,
             state::Storage& storage, base::Log log);

  /// Nothing else may write to the storage meanwhile. On success it holds the target's state:
  /// Machine::reload(). What was fetched before an error is kept for the next attempt.
  /// Errors: NotFound (no source keeps the checkpoint any more), Unavailable (no source answers),
  /// NotVerified (all that answer lie), of the storage.
  base::Task<base::Result<state::TransferProgress>> run(state::TransferTarget target,
                                                        Sources sources);
  base::Task<> stop();

 private:
  struct Answer {
    std::uint64_t run = 0, id = 0;
    stoq::NodeId from;
    base::Result<Frame> frame;
  };
  struct Source {
    stoq::Endpoint endpoint;
    unsigned asked = 0;     // On their way.
    unsigned failures = 0;  // In a row.
  };

  base::Task<> ask(stoq::NodeId source, stoq::Endpoint endpoint, std::uint64_t run,
                   std::uint64_t id, Frame request);
  std::map<stoq::NodeId, Source>::iterator choose();

  base::BlockingPool& pool_;
  stoq::rpc::Peers& peers_;
  state::Storage& storage_;
  base::Log log_;
  base::TaskScope scope_;
  base::Event answered_;
  std::map<stoq::NodeId, Source> sources_;
  std::deque<Answer> answers_;
  std::uint64_t run_ = 0;  // Answers of earlier ones may still come.
};

}  // namespace hypermesh::consensus
