#pragma once

#include <memory>
#include <set>

#include "orchestration/alarms.hpp"

namespace nexus::orchestration {

/// The alarms of one owner: none of them calls after it has closed them.
class OwnedAlarms final : public Alarms {
 public:
  /// `alarms` is borrowed.
  explicit OwnedAlarms(Alarms& alarms) : alarms_(alarms) {}
  ~OwnedAlarms() override { close(); }
  OwnedAlarms(const OwnedAlarms&) = delete;
  OwnedAlarms& operator=(const OwnedAlarms&) = delete;

  Id call_at(base::MonotonicTime when, std::function<void()> call) override {
    if (closed_) return kNone;
    auto id = std::make_shared<Id>(kNone);
    *id = alarms_.call_at(when, [this, id, call = std::move(call)] {
      pending_.erase(*id);
      call();
    });
    pending_.insert(*id);
    return *id;
  }
  void cancel(Id alarm) override {
    if (pending_.erase(alarm) > 0) alarms_.cancel(alarm);
  }
  /// Cancels all, and takes no more.
  void close() {
    closed_ = true;
    for (const Id alarm : pending_) alarms_.cancel(alarm);
    pending_.clear();
  }

 private:
  static constexpr Id kNone = 0;

  Alarms& alarms_;
  std::set<Id> pending_;
  bool closed_ = false;
};

}  // namespace nexus::orchestration
