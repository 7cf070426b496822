#include "transport/quic/timer_wheel.hpp"

#include <algorithm>
#include <bit>

namespace stoq::quic {

std::uint64_t TimerWheel::tick_of(base::MonotonicTime at) {
  return static_cast<std::uint64_t>(at.time_since_epoch() / kTick);
}

void TimerWheel::arm(Node& node, base::MonotonicTime at) {
  if (at == base::MonotonicTime::max()) {
    disarm(node);
    return;
  }
  // Rounded up, so that nothing fires early.
  const std::uint64_t tick = std::clamp(tick_of(at) + 1, current_, kTickMax);
  if (node.armed && node.tick == tick) return;
  disarm(node);
  node.tick = tick;
  node.armed = true;
  place(node);
}

void TimerWheel::disarm(Node& node) {
  if (!node.armed) return;
  unlink(node);
  node.armed = false;
}

// On the level of the highest digit in which the node's tick and the current one differ. So every
// occupied slot of a level lies behind the current one, or at it on the lowest level.
void TimerWheel::place(Node& node) {
  const std::uint64_t differing = node.tick ^ current_;
  const int level = differing == 0 ? 0 : (63 - std::countl_zero(differing)) / kBits;
  node.level = static_cast<std::uint8_t>(level);
  node.slot = static_cast<std::uint8_t>((node.tick >> (level * kBits)) % kSlots);
  Node*& head = slots_[node.level][node.slot];
  node.previous = nullptr;
  node.next = head;
  if (head != nullptr) head->previous = &node;
  head = &node;
  occupied_[node.level] |= std::uint64_t{1} << node.slot;
}

void TimerWheel::unlink(Node& node) {
  if (node.next != nullptr) node.next->previous = node.previous;
  if (node.previous != nullptr) {
    node.previous->next = node.next;
    return;
  }
  slots_[node.level][node.slot] = node.next;
  if (node.next == nullptr) occupied_[node.level] &= ~(std::uint64_t{1} << node.slot);
}

// The first tick of the first occupied slot: that of the lowest level that has one.
std::optional<TimerWheel::Slot> TimerWheel::first() const {
  for (int level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    const int shift = level * kBits;
    const auto slot = static_cast<std::uint64_t>(std::countr_zero(occupied_[level]));
    return Slot{level, slot, (((current_ >> shift) & ~(kSlots - 1)) | slot) << shift};
  }
  return std::nullopt;
}

TimerWheel::Node* TimerWheel::expire(base::MonotonicTime now) {
  const std::uint64_t until = tick_of(now);
  for (;;) {
    const auto slot = first();
    if (!slot || slot->begin > until) {
      current_ = std::max(current_, until);
      return nullptr;
    }
    current_ = std::max(current_, slot->begin);
    Node*& head = slots_[slot->level][slot->slot];
    if (slot->level == 0) {
      Node* node = head;
      disarm(*node);
      return node;
    }
    // Its time begins: its nodes spread over the lower levels.
    while (head != nullptr) {
      Node& node = *head;
      unlink(node);
      place(node);
    }
  }
}

base::MonotonicTime TimerWheel::next() const {
  const auto slot = first();
  if (!slot) return base::MonotonicTime::max();
  return base::MonotonicTime(kTick * static_cast<std::int64_t>(slot->begin));
}

}  // namespace stoq::quic
