#pragma once

#include <base/random.hpp>
#include <base/time.hpp>
#include <cstdint>
#include <optional>

namespace hypermesh {

/// How often and how fast a registry is asked again after 429, 5xx or a broken connection.
struct RetryPolicy {
  unsigned failures_max = 5;  ///< In a row, without a byte of progress.
  unsigned failures_total_max =
      50;  ///< A server that cuts after every byte is given up in the end.
  base::Duration first_wait = std::chrono::milliseconds(300);  ///< Doubles each time.
  base::Duration wait_max = std::chrono::seconds(20);
  base::Duration retry_after_max =
      std::chrono::seconds(60);  ///< A server that asks for more is given up.
};

/// The retries of one transfer. Pure: the caller waits.
class RetryState {
 public:
  /// `rng` spreads the waits of many nodes; borrowed.
  RetryState(const RetryPolicy& policy, base::Rng& rng) : policy_(policy), rng_(rng) {}

  /// How long to wait before the next try; empty: give up. `retry_after` is what the server asked
  /// for.
  std::optional<base::Duration> failed(std::optional<base::Duration> retry_after = std::nullopt);
  /// Bytes arrived since the last failure.
  void progressed() { in_a_row_ = 0; }
  unsigned failures() const { return total_; }

 private:
  const RetryPolicy policy_;
  base::Rng& rng_;
  unsigned in_a_row_ = 0;
  unsigned total_ = 0;
};

}  // namespace hypermesh
