#pragma once

#include <sys/socket.h>

#include <atomic>
#include <base/bytes.hpp>
#include <base/metrics.hpp>
#include <functional>
#include <memory>
#include <thread>

#include "dns/zone.hpp"

namespace nexus::dns {

/// The zone in force, read by every answering thread and replaced by one.
class CurrentZone {
 public:
  std::shared_ptr<const Zone> get() const { return std::atomic_load(&zone_); }
  void set(std::shared_ptr<const Zone> zone) {
    std::atomic_store(&zone_, std::move(zone));
    generation_.fetch_add(1, std::memory_order_release);
  }
  /// Changes with every set(): a thread keeps its copy while this stays, and touches no shared
  /// counter.
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

 private:
  std::shared_ptr<const Zone> zone_ = Zone::build({});
  std::atomic<std::uint64_t> generation_{1};
};

/// Where a UDP question came from, to answer it later.
struct UdpPeer {
  int socket = -1;
  sockaddr_storage address{};
  socklen_t address_bytes = 0;
};

/// Answers one UDP socket in a thread of its own, in batches (recvmmsg, sendmmsg).
class UdpResponder {
 public:
  using Forward = std::function<void(base::Bytes question, UdpPeer from)>;

  /// Takes the bound socket. `forward` is called on the thread for names elsewhere; empty refuses
  /// them.
  UdpResponder(int socket, const CurrentZone& zone, Forward forward, base::Counter& answered,
               base::Histogram& resolution);
  ~UdpResponder();  ///< Ends the thread.
  UdpResponder(const UdpResponder&) = delete;

 private:
  void run();
  void wake();

  int socket_;
  const CurrentZone& zone_;
  Forward forward_;
  base::Counter& answered_;
  base::Histogram& resolution_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace nexus::dns
