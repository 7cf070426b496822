#pragma once

#include <base/bytes.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "consensus/log/log_batch.hpp"

namespace hypermesh::consensus {

/// What an intact record says. The view is valid during the call that hands it over.
struct LogRecord {
  Lsn lsn = 0;
  std::uint8_t type = 0;
  base::BytesView payload;
};

/// Records that were written and cannot be read any more: to be repaired from peers. A gap is
/// reported by every open until drop_before() has passed it.
struct LogGap {
  Lsn first = 0;
  Lsn last = 0;  ///< Where the damage hides how many there were: as many as can have been.
  std::string file;
  std::uint64_t offset = 0;  ///< Of the damage in `file`, bytes.
  std::uint64_t bytes = 0;   ///< 0: nothing of them is there.
  /// A later record says that the first of them was on disk, or the file after it that all were;
  /// also if that file's header is damaged. If not, the damage is at the end of what was written
  /// last: it may be a write that a crash cut short and nobody was told of.
  bool acknowledged = false;
  friend bool operator==(const LogGap&, const LogGap&) = default;
};

/// What a crash left of a write that nobody was told of. It is gone after the open.
struct LogTornTail {
  std::string file;
  std::uint64_t offset = 0, bytes = 0;
  friend bool operator==(const LogTornTail&, const LogTornTail&) = default;
};

/// What an open found.
struct LogContents {
  Lsn first = 1;                         ///< The lowest kept. Above `last`: there is none.
  Lsn last = 0;                          ///< The highest; the next append gets the one after.
  std::vector<LogGap> gaps;              ///< In order of lsn.
  std::optional<LogTornTail> torn_tail;  ///< Normal after a crash.
  /// Files whose header is damaged; their records were read nevertheless.
  std::vector<std::string> damaged_headers;
};

/// The records that a replica makes durable before it acts on them, in one order.
///
/// append() and take() are called by one thread (the engine's), write() by one at a time (a
/// worker's), the rest by any. A record is durable when the write() of its batch has returned; a
/// batch makes as many records durable as were appended meanwhile. No record is ever overwritten.
///
/// After the first error of write() the log takes no more: append() and write() return that error,
/// what was acknowledged stays readable, and the owner opens the log anew. A sync that failed is
/// not tried again: the kernel has forgotten what it did not write.
class Log {
 public:
  virtual ~Log() = default;

  virtual const LogContents& opened() const = 0;
  virtual std::uint64_t payload_bytes_max() const = 0;  ///< Of one record.

  /// Buffers a record. Errors: InvalidArgument (longer than payload_bytes_max), ResourceExhausted
  /// (more is waiting for write() than pending_bytes_max: nothing is appended, try again), and the
  /// error that ended the log.
  virtual base::Result<Lsn> append(std::uint8_t type, base::BytesView payload) = 0;
  /// Everything appended and not yet taken, to be handed to write() in this order.
  virtual LogBatch take() = 0;
  /// Writes a batch and brings it to disk; returns the highest durable lsn. Blocks.
  /// Errors: ResourceExhausted (disk full: names the path, the free bytes and what to do), of the
  /// system; all of them end the log.
  virtual base::Result<Lsn> write(LogBatch batch) = 0;
  /// For who has one thread: write(take()).
  base::Result<Lsn> sync() { return write(take()); }

  virtual Lsn appended() const = 0;  ///< The last lsn that append() gave. The engine's thread.
  /// More waits for take() than half of what may: the disk is slow, and whoever appends should let
  /// things that can wait, wait. The engine's thread.
  virtual bool behind() const = 0;
  virtual Lsn durable() const = 0;

  using Visitor = std::function<void(const LogRecord&)>;
  /// Durable records from `from` on, in order; returns what is damaged among them, whether the
  /// open saw it or not. Blocks. Errors: of the system, FailedPrecondition (a key is not there).
  virtual base::Result<std::vector<LogGap>> read(Lsn from, const Visitor& visit) const = 0;

  /// Lets go of whole files with nothing but records below `lsn`. Blocks. Errors: of the system;
  /// the log goes on.
  virtual base::Result<> drop_before(Lsn lsn) = 0;
};

}  // namespace hypermesh::consensus
