#pragma once

#include <base/async/event.hpp>

#include "sure_client.hpp"

namespace bench {

/// A client that writes all the time, so many writes of 256 bytes at once, each to a key of its
/// own, and remembers which were acknowledged. It stops at the first that fails.
class SteadyWrites {
 public:
  /// `prefix`: of the keys. `client` is borrowed; call stop() before it goes.
  SteadyWrites(SureClient& client, std::string prefix, unsigned at_once);

  void start();
  /// Resumes when nothing is under way.
  base::Task<> stop();

  /// Resumes when a write is acknowledged that began at `time` or later, and says when that was.
  /// Errors: of the write that failed.
  base::Task<base::Result<base::MonotonicTime>> acknowledged_since(base::MonotonicTime time);
  /// The longest time without an acknowledgement since the last call, or since the beginning.
  base::Duration take_longest_gap();
  std::uint64_t acknowledged() const { return acknowledged_; }
  const std::optional<base::Error>& failure() const { return failure_; }

  /// Reads what was acknowledged, beginning with write number `first`; gives the number to go on
  /// with. Only while it is stopped. Errors: DataLoss (names a write that is not there), of the
  /// reading.
  base::Task<base::Result<std::uint64_t>> check(SureClient::RequestClient& replica, bool local,
                                                std::uint64_t first);

 private:
  void write();
  void on_outcome(std::uint64_t number, base::MonotonicTime began,
                  base::Result<std::uint64_t> outcome);
  std::string key(std::uint64_t number) const;

  SureClient& client_;
  const std::string prefix_;
  const unsigned at_once_;
  base::Event changed_;
  std::vector<bool> written_;  // By number: acknowledged.
  std::uint64_t acknowledged_ = 0;
  unsigned under_way_ = 0;
  bool running_ = false;
  base::MonotonicTime last_acknowledged_{};
  base::MonotonicTime newest_began_{}, newest_acknowledged_{};  // Of the write that began last.
  base::Duration gap_{};
  std::optional<base::Error> failure_;
};

}  // namespace bench
