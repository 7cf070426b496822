#pragma once

#include <base/random.hpp>
#include <base/time.hpp>
#include <functional>
#include <map>
#include <optional>

#include "transport/quic/session.hpp"

namespace stoq::quic::testing {

/// What a bad network does to datagrams, in virtual time.
struct LinkFaults {
  double loss = 0, duplication = 0, corruption = 0;
  double forgery = 0;  ///< Garbage, or a changed copy, travels beside a datagram.
  base::Duration delay = std::chrono::milliseconds(1), jitter{};  ///< Jitter reorders.
  std::size_t mtu_bytes = 65'536;                                 ///< Larger ones vanish.
  double bytes_per_second = 0;                                    ///< 0: as fast as you like.
  std::size_t queue_bytes_max = 256 * 1024;                       ///< Before the slow part.
};

/// Datagrams under way in one direction.
class VirtualLink {
 public:
  struct Datagram {
    Path path;  ///< As the receiver sees it.
    base::Bytes bytes;
  };

  VirtualLink(base::Rng& rng, LinkFaults faults) : rng_(rng), faults_(faults) {}

  void set_faults(const LinkFaults& faults) { faults_ = faults; }

  void send(Datagram datagram, base::MonotonicTime now) {
    ++datagrams_sent;
    bytes_sent += datagram.bytes.size();
    if (change) {
      for (auto& bytes : change(std::move(datagram.bytes))) {
        if (!bytes.empty())
          under_way_.emplace(now + faults_.delay, Datagram{datagram.path, std::move(bytes)});
      }
      return;
    }
    if (datagram.bytes.size() > faults_.mtu_bytes || chance(faults_.loss)) return;
    if (chance(faults_.forgery))
      under_way_.emplace(now + faults_.delay, Datagram{datagram.path, forged(datagram.bytes)});
    const int copies = chance(faults_.duplication) ? 2 : 1;
    for (int copy = 0; copy < copies; ++copy) {
      base::MonotonicTime at = now;
      if (faults_.bytes_per_second > 0) {
        const base::Duration busy = std::max(free_at_ - now, base::Duration::zero());
        const double waiting =
            std::chrono::duration<double>(busy).count() * faults_.bytes_per_second;
        if (waiting > static_cast<double>(faults_.queue_bytes_max)) continue;
        free_at_ = now + busy +
                   std::chrono::duration_cast<base::Duration>(std::chrono::duration<double>(
                       static_cast<double>(datagram.bytes.size()) / faults_.bytes_per_second));
        at = free_at_;
      }
      at += faults_.delay;
      if (faults_.jitter > base::Duration::zero())
        at += base::Duration(rng_.below(static_cast<std::uint64_t>(faults_.jitter.count())));
      Datagram sent = datagram;
      if (chance(faults_.corruption))
        sent.bytes[rng_.below(sent.bytes.size())] ^= 1 << rng_.below(8);
      under_way_.emplace(at, std::move(sent));
    }
  }

  base::MonotonicTime next() const {
    return under_way_.empty() ? base::MonotonicTime::max() : under_way_.begin()->first;
  }
  std::optional<Datagram> take(base::MonotonicTime now) {
    if (next() > now) return std::nullopt;
    Datagram datagram = std::move(under_way_.begin()->second);
    bytes_delivered += datagram.bytes.size();
    under_way_.erase(under_way_.begin());
    return datagram;
  }

  /// Instead of the faults: what goes on in a datagram's place.
  std::function<std::vector<base::Bytes>(base::Bytes)> change;
  std::size_t bytes_delivered = 0;
  std::size_t datagrams_sent = 0, bytes_sent = 0;  ///< Into the link, whatever becomes of them.

 private:
  base::Bytes forged(base::Bytes bytes) {
    switch (rng_.below(6)) {
      case 0:  // Anything at all.
        bytes.resize(1 + rng_.below(1500));
        rng_.fill(bytes);
        break;
      case 1:  // What looks like a stateless reset.
        bytes.resize(21 + rng_.below(80));
        rng_.fill(bytes);
        bytes[0] = static_cast<std::uint8_t>(0x40 | (bytes[0] & 0x3f));
        break;
      case 2:  // The same beginning: its id leads to the connection.
        bytes.resize(1 + rng_.below(bytes.size()));
        break;
      case 3:
        rng_.fill(std::span(bytes).subspan(std::min<std::size_t>(bytes.size(), 19)));
        break;
      case 4:  // Several packets in one datagram.
        bytes.insert(bytes.end(), bytes.begin(), bytes.end());
        break;
      default:
        for (int flips = 0; flips < 4; ++flips)
          bytes[rng_.below(bytes.size())] ^= static_cast<std::uint8_t>(1 << rng_.below(8));
    }
    return bytes;
  }
  bool chance(double probability) {
    return probability > 0 && static_cast<double>(rng_.below(1'000'000)) < probability * 1'000'000;
  }

  base::Rng& rng_;
  LinkFaults faults_;
  base::MonotonicTime free_at_{};
  std::multimap<base::MonotonicTime, Datagram> under_way_;
};

}  // namespace stoq::quic::testing
