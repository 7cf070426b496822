#pragma once

// Other servers' answers, kept for their time to live (RFC 1035 section 7.4, RFC 2308 for "does not
// exist"). Pure: time is an argument.

#include <base/bytes.hpp>
#include <base/time.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace nexus::dns {

class AnswerCache {
 public:
  static constexpr std::uint32_t kSecondsMax = 3600;
  static constexpr std::uint32_t kNegativeSecondsMax = 60;
  static constexpr std::size_t kAnswerBytesMax = 4096;  ///< Larger ones are asked for again.

  explicit AnswerCache(std::size_t entries_max) : entries_max_(entries_max) {}

  /// The answer to `question` as if it were given now: its id, its spelling, and what is left of
  /// the times to live.
  std::optional<base::Bytes> find(base::BytesView question, base::MonotonicTime now);
  /// Keeps `answer` if it may be kept at all; the entry that ends first makes room.
  void keep(base::BytesView question, const base::Bytes& answer, base::MonotonicTime now);
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    base::Bytes answer;
    base::MonotonicTime since, until;
  };
  using Entries = std::map<std::string, Entry>;
  void erase(Entries::iterator entry);

  std::size_t entries_max_;
  Entries entries_;
  std::set<std::pair<base::MonotonicTime, std::string>> by_end_;
};

/// Name, type and class of a question in lower case, without what else a message says; empty when
/// it is none.
std::string question_key(base::BytesView message);

/// How long an answer may be kept; empty: not at all.
std::optional<std::uint32_t> seconds_to_keep(base::BytesView answer);
/// Takes `seconds` off every time to live. False when the message cannot be read.
bool age_records(base::Bytes& message, std::uint32_t seconds);

}  // namespace nexus::dns
