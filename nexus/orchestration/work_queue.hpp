#pragma once

#include <base/time.hpp>
#include <map>
#include <optional>
#include <set>

namespace nexus::orchestration {

/// Keys that something is to be done for: each at most once at a time, each once however often it
/// was added, those that failed later and later. Pure.
template <class Key>
class WorkQueue {
 public:
  static constexpr base::Duration kRetryFirst = std::chrono::milliseconds(5);
  static constexpr base::Duration kRetryMax = std::chrono::seconds(30);

  /// Not before `when`; an earlier time that was set stays.
  void add(const Key& key, base::MonotonicTime when) {
    Item& item = items_[key];
    if (item.running) {
      if (!item.again || when < *item.again) item.again = when;
      return;
    }
    schedule(key, item, when);
  }
  /// The next key that is due, now running. Empty when there is none.
  std::optional<Key> take(base::MonotonicTime now) {
    if (due_.empty() || due_.begin()->first > now) return std::nullopt;
    Key key = due_.begin()->second;
    due_.erase(due_.begin());
    Item& item = items_.at(key);
    item.due.reset();
    item.running = true;
    return key;
  }
  /// `key` has been worked on. What was added meanwhile is due again; a failure is tried again
  /// after a delay that doubles with every failure in a row.
  void done(const Key& key, bool success, base::MonotonicTime now) {
    Item& item = items_.at(key);
    item.running = false;
    if (success) {
      item.delay = base::Duration(0);
    } else {
      item.delay =
          item.delay == base::Duration(0) ? kRetryFirst : std::min(item.delay * 2, kRetryMax);
      const base::MonotonicTime retry = now + item.delay;
      if (!item.again || retry < *item.again) item.again = retry;
    }
    if (item.again) {
      const base::MonotonicTime when = *item.again;
      item.again.reset();
      schedule(key, item, when);
    } else {
      items_.erase(key);
    }
  }
  std::optional<base::MonotonicTime> next_due() const {
    if (due_.empty()) return std::nullopt;
    return due_.begin()->first;
  }
  std::size_t size() const { return items_.size(); }

 private:
  struct Item {
    bool running = false;
    std::optional<base::MonotonicTime> due, again;
    base::Duration delay{0};
  };
  void schedule(const Key& key, Item& item, base::MonotonicTime when) {
    if (item.due) {
      if (*item.due <= when) return;
      due_.erase({*item.due, key});
    }
    item.due = when;
    due_.insert({when, key});
  }
  std::map<Key, Item> items_;
  std::set<std::pair<base::MonotonicTime, Key>> due_;
};

}  // namespace nexus::orchestration
