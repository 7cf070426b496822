#include "orchestration/work_queue.hpp"

#include <algorithm>

namespace nexus::orchestration {

void WorkQueue::mark(const ObjectRef& key) {
  if (const auto handled = handled_.find(key); handled != handled_.end()) {
    handled->second = true;
  } else {
    ready_.insert(key);
  }
}

void WorkQueue::mark_at(const ObjectRef& key, base::MonotonicTime when) {
  if (const auto known = due_.find(key); known != due_.end()) {
    if (known->second <= when) return;
    by_time_.erase({known->second, key});
  }
  due_.insert_or_assign(key, when);
  by_time_.insert({when, key});
}

std::optional<ObjectRef> WorkQueue::take(base::MonotonicTime now) {
  while (!by_time_.empty() && by_time_.begin()->first <= now) {
    const ObjectRef key = by_time_.begin()->second;
    by_time_.erase(by_time_.begin());
    due_.erase(key);
    mark(key);
  }
  if (ready_.empty()) return std::nullopt;
  ObjectRef key = std::move(ready_.extract(ready_.begin()).value());
  handled_.emplace(key, false);
  return key;
}

void WorkQueue::succeeded(const ObjectRef& key) {
  delays_.erase(key);
  release(key);
}

void WorkQueue::failed(const ObjectRef& key, base::MonotonicTime now) {
  auto& delay = delays_.try_emplace(key, kRetryFirst).first->second;
  mark_at(key, now + delay);
  delay = std::min(delay * 2, kRetryMax);
  release(key);
}

void WorkQueue::release(const ObjectRef& key) {
  const auto handled = handled_.find(key);
  if (handled == handled_.end()) return;
  const bool again = handled->second;
  handled_.erase(handled);
  if (again) ready_.insert(key);
}

std::optional<base::MonotonicTime> WorkQueue::next_due() const {
  if (!ready_.empty()) return base::MonotonicTime::min();
  if (by_time_.empty()) return std::nullopt;
  return by_time_.begin()->first;
}

}  // namespace nexus::orchestration
