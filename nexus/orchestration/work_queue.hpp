#pragma once

// Which keys a controller has to look at, and when. Pure: time is an argument.

#include <base/time.hpp>
#include <map>
#include <optional>
#include <set>

#include "objects/object_ref.hpp"

namespace nexus::orchestration {

/// A key is handled by one task at a time; marked while it is handled, it comes again. A key that
/// fails comes back after a delay that doubles with every failure in a row.
class WorkQueue {
 public:
  static constexpr base::Duration kRetryFirst = std::chrono::milliseconds(5);
  static constexpr base::Duration kRetryMax = std::chrono::seconds(30);

  /// Has to be looked at now.
  void mark(const ObjectRef& key);
  /// Has to be looked at then, at the latest.
  void mark_at(const ObjectRef& key, base::MonotonicTime when);

  /// The next key that is due, which counts as being handled until done().
  std::optional<ObjectRef> take(base::MonotonicTime now);
  void succeeded(const ObjectRef& key);
  void failed(const ObjectRef& key, base::MonotonicTime now);

  /// When the next key is due; empty when only a mark can bring one.
  std::optional<base::MonotonicTime> next_due() const;
  std::size_t handled_now() const { return handled_.size(); }

 private:
  void release(const ObjectRef& key);
  std::set<ObjectRef> ready_;
  std::map<ObjectRef, base::MonotonicTime> due_;
  std::set<std::pair<base::MonotonicTime, ObjectRef>> by_time_;
  std::map<ObjectRef, bool> handled_;  ///< true: marked meanwhile
  std::map<ObjectRef, base::Duration> delays_;
};

}  // namespace nexus::orchestration
