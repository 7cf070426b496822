#pragma once

#include <base/async/blocking_pool.hpp>
#include <base/async/event.hpp>
#include <base/time.hpp>
#include <functional>

#include "consensus/log/log.hpp"

namespace hypermesh::consensus {

/// Brings appended records to disk, all that wait with one write, on a worker. All calls are made
/// on one executor.
class LogWriter {
 public:
  using OnDurable = std::function<void(base::Result<Lsn>, base::Duration took)>;
  /// All are borrowed. `on_durable` hears of every write, and once of the error that ended the log.
  LogWriter(const base::Executor& executor, base::BlockingPool& pool, Log& log,
            const base::Clock& clock, OnDurable on_durable);

  /// `lazy`: nobody waits for it, and it goes to disk with the next that somebody waits for; that
  /// one when begin() is called. Errors: those of Log::append.
  base::Result<Lsn> append(std::uint8_t type, base::BytesView payload, bool lazy);
  /// Somebody waits for it after all.
  void need(Lsn lsn) { due_ = due_ || lsn > taken_; }
  /// Lets go of records below `lsn` after all that is appended now is durable, and after what was
  /// asked for before.
  void drop_before(Lsn lsn);
  /// Begins to write what waits, unless a write is under way: then it follows that.
  void begin();
  /// Whether something waits for begin().
  bool due() const { return due_ && !writing_; }
  /// Log::behind.
  bool behind() const { return log_.behind(); }
  base::Task<> stop();

 private:
  void end(base::Result<Lsn> written, bool any, base::MonotonicTime began);

  const base::Executor executor_;
  base::BlockingPool& pool_;
  Log& log_;
  const base::Clock& clock_;
  OnDurable on_durable_;
  base::Event idle_;
  Lsn appended_ = 0, taken_ = 0, drop_ = 0;
  bool due_ = false, writing_ = false, failed_ = false;
};

}  // namespace hypermesh::consensus
