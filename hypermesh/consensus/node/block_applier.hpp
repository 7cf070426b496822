#pragma once

#include <base/async/blocking_pool.hpp>
#include <base/async/task_scope.hpp>
#include <base/time.hpp>
#include <functional>
#include <vector>

#include "consensus/execution/executor.hpp"

namespace hypermesh::consensus {

/// Executes blocks in order: a small one at once, if the disk keeps up, and else all that wait on a
/// worker thread. So is one that brings hashes up to date: meanwhile a busy machine would keep a
/// primary silent for so long that it is given up. After a checkpoint the state is brought to disk
/// before more is executed. All calls are made on one executor.
class BlockApplier {
 public:
  /// What was executed, with its block; the error that ended it, which is the storage's: then it is
  /// paused.
  struct Batch {
    std::vector<std::pair<LinkPtr, Executed>> executed;
    Slot on_disk = 0;  ///< The state of this slot survives a loss of power. 0: nothing new.
    base::Result<> ended;
  };
  using OnBatch = std::function<void(const Batch&)>;

  /// All are borrowed.
  BlockApplier(const base::Executor& executor, base::BlockingPool& pool, Executor& blocks,
               const base::Clock& clock, OnBatch on_batch);

  /// `certified`: the last checkpoint that a quorum signed, whose state has to stay. What becomes
  /// of the block may be told before this returns.
  void apply(LinkPtr link, Slot certified);
  /// Resumes when no block is being executed. Until go_on() the state may be replaced.
  base::Task<> pause();
  /// `replaced`: the state is another one, and blocks that wait are forgotten.
  void go_on(bool replaced);
  base::Task<> stop();

 private:
  base::Task<> run();
  void apply_here();
  void tell(const Batch& batch);
  struct Waiting {
    LinkPtr link;
    Slot certified = 0;
  };
  Batch execute(std::vector<Waiting> blocks);

  base::BlockingPool& pool_;
  Executor& blocks_;
  const base::Clock& clock_;
  OnBatch on_batch_;
  base::TaskScope scope_;
  base::Event wanted_, idle_;
  std::vector<Waiting> waiting_;
  base::MonotonicTime aside_until_{};
  bool busy_ = false, paused_ = false, stopping_ = false, flush_due_ = false;
};

}  // namespace hypermesh::consensus
