#pragma once

// A closed-loop load: so many clients, each with so many operations under way, on random keys of a
// fixed space. What an operation is sent through is the caller's; what is asked, when, and how the
// answers are counted is here, so that every system is asked and measured in the same way.
//
// Time is an argument. An operation counts for the rate when it is acknowledged within the measured
// window, and for the latency when it began in it: what is still under way at the end is waited
// for, so that a stall at the end is seen.

#include <array>
#include <base/bytes.hpp>
#include <base/random.hpp>
#include <base/time.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

constexpr std::size_t kKeyBytes = 16, kValueBytes = 256;
constexpr std::uint32_t kClientsMax = 4096, kOutstandingMax = 1024;
constexpr std::uint64_t kKeysMax = 100'000'000, kOperationsMax = 100'000'000;
constexpr base::Duration kMeasuredMin = std::chrono::milliseconds(10);
constexpr base::Duration kMeasuredMax = std::chrono::minutes(10);
/// Longer without any answer, and the system counts as stuck.
constexpr std::chrono::seconds kAnswerMax{20};

using Key = std::array<char, kKeyBytes>;
using Value = std::array<std::uint8_t, kValueBytes>;

struct LoadOptions {
  std::uint32_t clients = 1;      ///< 1 to kClientsMax.
  std::uint32_t outstanding = 1;  ///< Operations under way for each client, 1 to kOutstandingMax.
  bool reads = false;             ///< Linearizable reads of keys that were filled; else writes.
  std::uint64_t keys = 100'000;   ///< Of the key space, 1 to kKeysMax.
  base::Duration warm_up = std::chrono::seconds(1);   ///< 0 to kMeasuredMax.
  base::Duration measured = std::chrono::seconds(5);  ///< kMeasuredMin to kMeasuredMax.
  std::uint64_t operations = 0;  ///< If not 0: ends after so many, without a warm-up.
  bool fill = false;             ///< Writes every key once, in order, and ends.
  std::uint64_t seed = 1;        ///< Of keys and values.
};

struct Operation {
  bool read = false;
  Key key{};
  Value value{};  ///< Of a write: its key, then random bytes.
  base::MonotonicTime began;
};

/// The name of a key of the space: fixed width, so that all have kKeyBytes.
Key key_of(std::uint64_t index);
/// Whether a value that was read can be one that a load wrote under `key`. Errors: DataLoss.
base::Result<> check_value(const Key& key, base::BytesView value);

struct Report {
  std::uint64_t operations = 0;
  double seconds = 0;
  std::uint64_t p50_us = 0, p99_us = 0, max_us = 0;  ///< Latencies, microseconds.
  std::uint64_t gap_us = 0;  ///< The longest time of the window without an acknowledgement.
  std::uint64_t failures = 0;

  /// "OPERATIONS SECONDS OPERATIONS/S P50 P99 MAX GAP FAILURES", times in microseconds.
  std::string line() const;
};

/// The smallest sample that at least `share` (0 to 1) of the samples do not exceed; 0 of none.
/// Reorders the samples.
std::uint64_t percentile(std::span<std::uint32_t> samples, double share);

class Load {
 public:
  /// `options` are valid; the warm-up begins at `now`.
  Load(const LoadOptions& options, base::MonotonicTime now);

  /// What `client` (0 to clients - 1) sends next. Nothing while it has as many under way as it may,
  /// after the end, and after a failure.
  std::optional<Operation> next(std::uint32_t client, base::MonotonicTime now);
  /// An answer that was checked.
  void done(std::uint32_t client, const Operation& operation, base::MonotonicTime now);
  /// An operation that was refused or answered wrongly. The run has failed: no more is sent.
  void failed(std::uint32_t client, std::string why);

  /// Nothing more begins, and nothing is under way.
  bool over(base::MonotonicTime now) const;
  /// Something is under way and no answer has come for kAnswerMax.
  bool stuck(base::MonotonicTime now) const;

  /// Of the first failure; empty if there is none.
  const std::string& failure() const { return failure_; }
  /// Once it is over.
  Report report();

 private:
  bool counted() const { return options_.operations > 0; }
  bool ended(base::MonotonicTime now) const;
  bool in_window(base::MonotonicTime time) const { return time >= begin_ && time < end_; }

  LoadOptions options_;
  base::SeededRng rng_;
  base::MonotonicTime begin_, end_;  // The window. Without an end while operations are counted.
  base::MonotonicTime last_acknowledged_, last_answer_;
  base::Duration gap_{};
  std::vector<std::uint32_t> under_way_;  // Of each client.
  std::uint64_t all_under_way_ = 0, begun_ = 0, operations_ = 0, failures_ = 0;
  std::vector<std::uint32_t> latencies_us_;
  std::string failure_;
};

}  // namespace bench
