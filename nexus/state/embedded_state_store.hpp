#pragma once

#include <base/async/blocking_pool.hpp>
#include <base/async/task_scope.hpp>
#include <base/metrics.hpp>
#include <base/time.hpp>
#include <deque>
#include <memory>
#include <nexus/state_store.hpp>
#include <set>

#include "state/lease_table.hpp"
#include "state/state_backend.hpp"
#include "state/state_writer.hpp"

namespace nexus {

/// The StateStore of one process: revisions, group commit, watches and leases on a StateBackend.
///
/// Commits that wait for the disk at the same time share one write and one fsync; revisions follow
/// the order of the calls. Watches are cursors: recent commits come from memory, older ones from
/// the log on disk. Leases count from the start of the process again, so a restart never ends one
/// early.
class EmbeddedStateStore final : public StateStore {
 public:
  struct Limits {
    EventLogLimits log{};
    std::size_t group_commits_max = 256;
    std::size_t group_bytes_max = 4u << 20;
    std::size_t recent_commits_max = 1024;     ///< Kept in memory for watches.
    std::size_t recent_bytes_max = 1u << 20;   ///< Likewise.
    std::size_t waiting_commits_max = 10'000;  ///< More are refused: ResourceExhausted.
  };

  /// `pool`, `clock` and `metrics` are borrowed and outlive the store.
  /// Errors: as StateWriter::open.
  static base::Result<std::unique_ptr<EmbeddedStateStore>> open(
      const base::Executor& executor, base::BlockingPool& pool,
      std::unique_ptr<StateBackend> backend, const base::Clock& clock, base::Metrics& metrics,
      Limits limits);
  /// After `close`, and after every Watch is gone.
  ~EmbeddedStateStore() override;

  base::Task<base::Result<std::optional<KeyValue>>> get(std::string key) override;
  base::Task<base::Result<RangeResult>> range(Range range) override;
  base::Task<base::Result<Revision>> commit(std::vector<Write> writes) override;
  base::Task<base::Result<std::unique_ptr<Watch>>> watch(std::string prefix,
                                                         Revision after) override;
  base::Task<base::Result<LeaseId>> grant_lease(base::Duration time_to_live) override;
  base::Task<base::Result<>> keep_alive(LeaseId lease) override;
  base::Task<base::Result<>> revoke_lease(LeaseId lease) override;
  Revision revision() const override { return revision_; }

  /// Finishes the commits that wait, refuses new ones, ends all watches with Unavailable.
  base::Task<> close();

 private:
  class Cursor;
  struct Waiting;
  EmbeddedStateStore(const base::Executor& executor, base::BlockingPool& pool,
                     std::unique_ptr<StateBackend> backend, const base::Clock& clock,
                     base::Metrics& metrics, Limits limits);

  base::Task<base::Result<std::uint64_t>> submit(StateRequest request);
  base::Task<> write_groups();
  base::Task<> end_leases();
  std::vector<std::shared_ptr<Waiting>> next_group();
  void watch_leases();
  Revision first_recent() const;
  void publish(const StateWriter::Outcome& outcome);

  base::Executor executor_;
  base::BlockingPool& pool_;
  const base::Clock& clock_;
  Limits limits_;
  std::unique_ptr<StateBackend> backend_;
  std::unique_ptr<StateWriter> writer_;  // used by the task that writes groups only
  base::Histogram& commit_seconds_;
  base::Histogram& group_commits_;
  base::Counter& failed_writes_;

  Revision revision_ = 0;
  Revision compacted_ = 0;
  bool closing_ = false;
  bool writing_ = false;
  std::deque<std::shared_ptr<Waiting>> waiting_;
  std::deque<std::shared_ptr<const CommitEvents>> recent_;  // consecutive revisions up to revision_
  std::size_t recent_bytes_ = 0;
  std::set<Cursor*> cursors_;
  LeaseTable leases_;
  base::Event leases_changed_;
  bool watching_leases_ = false;
  base::TaskScope writes_, timers_;
};

}  // namespace nexus
