#pragma once

#include <map>

#include "orchestration/alarms.hpp"

namespace nexus::orchestration {

/// A clock and its alarms that move only when the test says so.
class ManualTime final : public base::Clock, public Alarms {
 public:
  base::MonotonicTime now() const override {
    return base::MonotonicTime(std::chrono::hours(1)) + elapsed_;
  }
  base::WallTime wall() const override {
    return base::WallTime(std::chrono::hours(500'000)) + elapsed_;
  }

  Id call_at(base::MonotonicTime when, std::function<void()> call) override {
    const Id id = ++last_;
    calls_.emplace(std::pair(when, id), std::move(call));
    return id;
  }
  void cancel(Id alarm) override {
    std::erase_if(calls_, [&](const auto& each) { return each.first.second == alarm; });
  }

  std::optional<base::MonotonicTime> next() const {
    if (calls_.empty()) return std::nullopt;
    return calls_.begin()->first.first;
  }
  /// Moves to the next alarm if it is not after `limit`, and calls it. False: there is none.
  bool step(base::MonotonicTime limit) {
    if (calls_.empty() || calls_.begin()->first.first > limit) return false;
    auto [key, call] = *calls_.begin();
    calls_.erase(calls_.begin());
    if (key.first > now()) elapsed_ += key.first - now();
    call();
    return true;
  }
  void advance(base::Duration by) { elapsed_ += by; }

 private:
  base::Duration elapsed_{0};
  Id last_ = 0;
  std::map<std::pair<base::MonotonicTime, Id>, std::function<void()>> calls_;
};

}  // namespace nexus::orchestration
