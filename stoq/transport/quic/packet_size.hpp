#pragma once

#include <base/time.hpp>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace stoq::quic {

/// Notices when a path that took large packets takes them no longer (a black hole: RFC 8899,
/// section 4.3, which discovery of the size alone would not mend), and holds packets down to what
/// every path takes. Tries the larger size again later. Pure: the time is an argument.
class PacketSize {
 public:
  static constexpr std::size_t kAlwaysBytes = 1200;  ///< RFC 9000, section 14: every path.
  static constexpr base::Duration kFirstHold = std::chrono::seconds(10);
  static constexpr base::Duration kLongestHold = std::chrono::minutes(10);
  /// Timeouts of the peer's answers (PTO) in a row that make a path doubtful, and those that a
  /// single large packet may take while small ones arrive.
  static constexpr std::size_t kTimeoutsInDoubt = 2, kTimeoutsOfOnePacket = 6;

  /// The largest packet that may be sent now.
  std::size_t bytes_max() const {
    return held_ ? kAlwaysBytes : std::numeric_limits<std::size_t>::max();
  }
  /// Call before writing.
  void update(base::MonotonicTime now);
  /// Whether a packet of `bytes` that leaves now should be watched.
  bool wants(std::size_t bytes) const { return stream_ < 0 && bytes > kAlwaysBytes; }
  /// It left with a stream's bytes up to `end`; the peer's answer is late after `timeout`.
  void watch(std::int64_t stream, std::uint64_t end, base::MonotonicTime now,
             base::Duration timeout);
  void acknowledged(std::int64_t stream, std::uint64_t end) {
    if (stream == stream_ && end >= end_) arrived();
  }
  void stream_ended(std::int64_t stream) {
    if (stream == stream_) stream_ = -1;
  }
  /// `timeouts` passed in a row without a word from the peer. `large`: packets are larger than
  /// they need to be.
  void timed_out(std::size_t timeouts, bool large, base::MonotonicTime now) {
    if (timeouts >= kTimeoutsInDoubt && large && !held_) hold(now);
  }
  void path_changed() { *this = PacketSize(); }

 private:
  void arrived();
  void hold(base::MonotonicTime now);

  bool held_ = false;
  base::MonotonicTime held_until_{};
  base::Duration next_hold_ = kFirstHold;
  // One large packet under way: whose acknowledgement says that large packets arrive.
  std::int64_t stream_ = -1;
  std::uint64_t end_ = 0;
  base::MonotonicTime due_{};
};

}  // namespace stoq::quic
