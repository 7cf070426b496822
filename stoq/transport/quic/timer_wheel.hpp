#pragma once

#include <array>
#include <base/time.hpp>
#include <cstdint>
#include <optional>

namespace stoq::quic {

/// Deadlines of many connections: to set, move and remove one costs the same for one and for a
/// hundred thousand (Varghese and Lauck 1987, scheme 7). Fires up to one tick late, never early.
/// Nodes belong to the caller and must be disarmed before they go.
class TimerWheel {
 public:
  static constexpr base::Duration kTick{16'384};  ///< About 16 us: bursts of 64 KiB at 32 Gbit/s.

  struct Node {
    Node* previous = nullptr;
    Node* next = nullptr;
    std::uint64_t tick = 0;
    std::uint8_t level = 0, slot = 0;
    bool armed = false;
  };

  explicit TimerWheel(base::MonotonicTime now) : current_(tick_of(now)) {}

  /// Max() disarms.
  void arm(Node& node, base::MonotonicTime at);
  void disarm(Node& node);
  /// A node whose time has come, disarmed; null when there is none (left).
  Node* expire(base::MonotonicTime now);
  /// When to call expire() again; max() when nothing is armed. May be earlier than any deadline:
  /// far ones are looked at on the way.
  base::MonotonicTime next() const;

 private:
  static constexpr int kLevels = 8, kBits = 6;
  static constexpr std::uint64_t kSlots = 1 << kBits;
  static constexpr std::uint64_t kTickMax = (std::uint64_t{1} << (kLevels * kBits)) - 1;

  struct Slot {
    int level;
    std::uint64_t slot, begin;
  };

  static std::uint64_t tick_of(base::MonotonicTime at);
  void place(Node& node);
  void unlink(Node& node);
  std::optional<Slot> first() const;

  std::uint64_t current_;  // Every tick before it has been dealt with.
  std::array<std::array<Node*, kSlots>, kLevels> slots_{};
  std::array<std::uint64_t, kLevels> occupied_{};  // A bit for each slot that holds a node.
};

}  // namespace stoq::quic
