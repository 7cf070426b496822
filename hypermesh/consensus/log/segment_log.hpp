#pragma once

#include <memory>

#include "consensus/log/log.hpp"
#include "consensus/log/log_files.hpp"

namespace hypermesh::consensus {

struct LogOptions {
  LogId id{};                                 ///< Which log this is; a file of another is refused.
  std::uint64_t segment_bytes = 64ull << 20;  ///< Of one file; reserved when it is begun.
  std::uint64_t payload_bytes_max = (8ull << 20) + 4096;  ///< Of one record.
  /// Of what is appended and not yet taken; one record more is always taken in.
  std::uint64_t pending_bytes_max = 128ull << 20;

  base::Result<> validate() const;
};

/// Reads what is there, cuts off what a crash left of the last write, and goes on behind it in a
/// new file. `cipher` is borrowed and outlives the log.
///
/// Damage is no error: it is in opened(). Errors: FailedPrecondition (a newer version's log,
/// another log's, keys that are not there: nothing was changed), InvalidArgument (options), of the
/// system.
base::Result<std::unique_ptr<Log>> open_segment_log(std::unique_ptr<LogFiles> files,
                                                    at_rest::RecordCipher& cipher,
                                                    LogOptions options);

}  // namespace hypermesh::consensus
