#pragma once

#include <netinet/in.h>

#include <base/time.hpp>
#include <cstdint>
#include <list>
#include <unordered_map>

namespace stoq::quic {

/// What one listener takes, from everybody and from one source: an IPv6 /64, or an IPv4 address.
struct Limits {
  std::size_t connections_max = 10'000;
  std::size_t connections_per_source_max = 5'000;
  double handshakes_per_source_per_second = 500;
  double handshakes_burst = 2'000;  ///< Of one source, at once.
  /// Handshakes under way from which on strangers prove their address first (Retry).
  std::size_t handshakes_before_retry = 256;
  /// Refusals, retries and resets, which cost no state. They could be made to reflect: what a
  /// source is sent is not more than what bears its address, and never more than these.
  double answers_per_source_per_second = 500;
  double bytes_per_source_per_second = 0;  ///< Received; 0: no limit.
  /// Open at once, by all connections of one source; more are refused one by one.
  std::size_t streams_per_source_max = 65'536;
  /// Part of connections_max from which on idle connections make room for new ones.
  double crowded_share = 0.9;
  base::Duration idle_before_eviction = std::chrono::seconds(10);  ///< Without any stream.
  /// Received by one core and read by nobody. Beyond it the source with most loses a connection.
  std::size_t unread_bytes_max = std::size_t{512} << 20;
  std::size_t sources_max = 65'536;  ///< Remembered; all beyond share one account.
};

/// Counts what sources use and decides who may begin a connection. Pure: the time is an argument.
class SourceLimits {
 public:
  enum class Verdict : std::uint8_t { Accept, Retry, Refuse };
  struct Account {
    std::uint64_t prefix = 0;
    std::size_t connections = 0, streams = 0;
    double handshakes = 0, bytes = 0, answers = 0;  ///< What is left of the buckets.
    base::MonotonicTime refilled{};
    std::list<Account*>::iterator idle;
    bool is_idle = false;
  };

  explicit SourceLimits(const Limits& limits) : limits_(limits) {}
  SourceLimits(const SourceLimits&) = delete;

  /// `validated`: the client has proved that it receives at its address. Strangers under load are
  /// told to: what they ask for is not charged to a source that they may only pretend to be.
  Verdict admit(const sockaddr_in6& from, bool validated, base::MonotonicTime now);
  /// A connection begins: after Accept. The account stays until `closed`.
  Account& opened(const sockaddr_in6& from, base::MonotonicTime now);
  void established() { --handshakes_; }
  void closed(Account& account, bool was_established);
  /// False: the stream is one too many. Else it counts until stream_closed().
  bool may_open_stream(Account& account) const;
  void streams_closed(Account& account, std::size_t count) const { account.streams -= count; }
  /// There is little room for new connections.
  bool crowded() const {
    return static_cast<double>(connections_) >=
           limits_.crowded_share * static_cast<double>(limits_.connections_max);
  }
  /// Whether the source is sent an answer that costs no state.
  bool may_answer(const sockaddr_in6& to, base::MonotonicTime now);
  /// Whether the source may send that much more now.
  bool may_receive(Account& account, std::size_t bytes, base::MonotonicTime now);

  const Limits& limits() const { return limits_; }
  std::size_t connections() const { return connections_; }
  std::size_t handshakes() const { return handshakes_; }
  std::size_t sources() const { return accounts_.size(); }

 private:
  static std::uint64_t prefix_of(const sockaddr_in6& from);
  Account& account(std::uint64_t prefix, base::MonotonicTime now);
  void refill(Account& account, base::MonotonicTime now) const;

  Limits limits_;
  std::size_t connections_ = 0, handshakes_ = 0;
  std::unordered_map<std::uint64_t, Account> accounts_;
  std::list<Account*> idle_;  // Without connections, the one that was used last at the back.
  Account others_;
};

}  // namespace stoq::quic
