#include "transport/quic/source_limits.hpp"

#include <algorithm>
#include <cstring>

namespace stoq::quic {

std::uint64_t SourceLimits::prefix_of(const sockaddr_in6& from) {
  std::uint64_t prefix;
  if (IN6_IS_ADDR_V4MAPPED(&from.sin6_addr)) {
    std::uint32_t address;
    std::memcpy(&address, from.sin6_addr.s6_addr + 12, sizeof address);
    return 0xffff'0000'0000'0000 | address;  // No /64 of the Internet begins with ff.
  }
  std::memcpy(&prefix, from.sin6_addr.s6_addr, sizeof prefix);
  return prefix;
}

void SourceLimits::refill(Account& account, base::MonotonicTime now) const {
  if (now <= account.refilled) return;
  const double seconds = std::chrono::duration<double>(now - account.refilled).count();
  account.handshakes =
      std::min(limits_.handshakes_burst,
               account.handshakes + seconds * limits_.handshakes_per_source_per_second);
  account.bytes = std::min(limits_.bytes_per_source_per_second,
                           account.bytes + seconds * limits_.bytes_per_source_per_second);
  account.answers = std::min(limits_.answers_per_source_per_second,
                             account.answers + seconds * limits_.answers_per_source_per_second);
  account.refilled = now;
}

SourceLimits::Account& SourceLimits::account(std::uint64_t prefix, base::MonotonicTime now) {
  if (const auto known = accounts_.find(prefix); known != accounts_.end()) {
    Account& found = known->second;
    if (found.is_idle) idle_.splice(idle_.end(), idle_, found.idle);
    refill(found, now);
    return found;
  }
  if (accounts_.size() >= limits_.sources_max) {
    if (idle_.empty()) {
      refill(others_, now);
      return others_;
    }
    const std::uint64_t oldest = idle_.front()->prefix;
    idle_.pop_front();
    accounts_.erase(oldest);
  }
  Account& made = accounts_[prefix];
  made.prefix = prefix;
  made.handshakes = limits_.handshakes_burst;
  made.bytes = limits_.bytes_per_source_per_second;
  made.answers = limits_.answers_per_source_per_second;
  made.refilled = now;
  made.idle = idle_.insert(idle_.end(), &made);
  made.is_idle = true;
  return made;
}

SourceLimits::Verdict SourceLimits::admit(const sockaddr_in6& from, bool validated,
                                          base::MonotonicTime now) {
  if (connections_ >= limits_.connections_max) return Verdict::Refuse;
  Account& source = account(prefix_of(from), now);
  if (!validated) {
    const bool busy = handshakes_ >= limits_.handshakes_before_retry ||
                      source.handshakes < limits_.handshakes_burst / 2;
    if (busy) return Verdict::Retry;
  }
  if (source.connections >= limits_.connections_per_source_max || source.handshakes < 1)
    return Verdict::Refuse;
  return Verdict::Accept;
}

SourceLimits::Account& SourceLimits::opened(const sockaddr_in6& from, base::MonotonicTime now) {
  Account& source = account(prefix_of(from), now);
  source.handshakes -= 1;
  ++source.connections;
  ++connections_;
  ++handshakes_;
  if (source.is_idle) {
    idle_.erase(source.idle);
    source.is_idle = false;
  }
  return source;
}

void SourceLimits::closed(Account& account, bool was_established) {
  --connections_;
  if (!was_established) --handshakes_;
  if (--account.connections > 0 || &account == &others_) return;
  account.idle = idle_.insert(idle_.end(), &account);
  account.is_idle = true;
}

bool SourceLimits::may_open_stream(Account& account) const {
  if (account.streams >= limits_.streams_per_source_max) return false;
  ++account.streams;
  return true;
}

bool SourceLimits::may_answer(const sockaddr_in6& to, base::MonotonicTime now) {
  Account& source = account(prefix_of(to), now);
  if (source.answers < 1) return false;
  source.answers -= 1;
  return true;
}

bool SourceLimits::may_receive(Account& account, std::size_t bytes, base::MonotonicTime now) {
  if (limits_.bytes_per_source_per_second <= 0) return true;
  refill(account, now);
  if (account.bytes < static_cast<double>(bytes)) return false;
  account.bytes -= static_cast<double>(bytes);
  return true;
}

}  // namespace stoq::quic
