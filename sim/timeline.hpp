#pragma once

// Virtual time: events in the order of their times, and of their making where those are equal. An
// event is a callable that lies in a pool, so that making one costs no allocation.

#include <algorithm>
#include <array>
#include <base/time.hpp>
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace sim {

using base::Duration;
using base::MonotonicTime;

class Timeline {
 public:
  Timeline() = default;
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;
  ~Timeline() {
    for (const Key& key : heap_) drop(key.slot);
  }

  MonotonicTime now() const { return now_; }
  /// Of a time that has passed: now.
  template <class Event>
  void at(MonotonicTime time, Event event) {
    static_assert(sizeof(Event) <= kEventBytes && alignof(Event) <= alignof(std::max_align_t));
    const std::uint32_t index = take_slot();
    Slot& slot = slot_at(index);
    new (slot.storage) Event(std::move(event));
    slot.run = [](void* storage) { (*std::launder(static_cast<Event*>(storage)))(); };
    slot.destroy = [](void* storage) { std::launder(static_cast<Event*>(storage))->~Event(); };
    heap_.push_back({std::max(time, now_), next_++, index});
    std::ranges::push_heap(heap_, later);
  }
  template <class Event>
  void after(Duration wait, Event event) {
    at(now_ + wait, std::move(event));
  }
  /// False when there is none up to `end`.
  bool step(MonotonicTime end) {
    if (heap_.empty() || heap_.front().time > end) {
      now_ = end;
      return false;
    }
    std::ranges::pop_heap(heap_, later);
    const Key key = heap_.back();
    heap_.pop_back();
    now_ = key.time;
    Slot& slot = slot_at(key.slot);
    slot.run(slot.storage);
    drop(key.slot);
    ++steps_;
    return true;
  }
  std::uint64_t steps() const { return steps_; }

 private:
  static constexpr std::size_t kEventBytes = 96, kBlock = 256;
  struct Slot {
    alignas(std::max_align_t) std::byte storage[kEventBytes];
    void (*run)(void*);
    void (*destroy)(void*);
  };
  struct Key {
    MonotonicTime time;
    std::uint64_t order;
    std::uint32_t slot;
  };
  static bool later(const Key& a, const Key& b) {
    return a.time != b.time ? a.time > b.time : a.order > b.order;
  }

  // Slots never move: an event may make others while it runs.
  Slot& slot_at(std::uint32_t index) { return (*blocks_[index / kBlock])[index % kBlock]; }
  std::uint32_t take_slot() {
    if (free_.empty()) {
      const auto first = static_cast<std::uint32_t>(blocks_.size() * kBlock);
      blocks_.push_back(std::make_unique<std::array<Slot, kBlock>>());
      for (std::uint32_t i = kBlock; i > 0; --i) free_.push_back(first + i - 1);
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    return index;
  }
  void drop(std::uint32_t index) {
    Slot& slot = slot_at(index);
    slot.destroy(slot.storage);
    free_.push_back(index);
  }

  MonotonicTime now_{};
  std::uint64_t next_ = 0, steps_ = 0;
  std::vector<Key> heap_;
  std::vector<std::unique_ptr<std::array<Slot, kBlock>>> blocks_;
  std::vector<std::uint32_t> free_;
};

}  // namespace sim
