#pragma once

// Events: what happened to objects, for people. Kept in memory, bounded in number and age: they
// explain the last hour and are no record. The audit log is the record. A restart of the daemon
// begins with none; what controllers decide never depends on them.

#include <base/time.hpp>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "objects/object.hpp"

namespace nexus::orchestration {

inline constexpr std::size_t kEventsMax = 2000;
inline constexpr base::Duration kEventAgeMax = std::chrono::hours(1);
/// Of a message; a longer one, such as that of a probe with a long command, is cut.
inline constexpr std::size_t kEventMessageBytesMax = 1024;

/// Something to tell about an object.
struct EventNote {
  ObjectRef about{};
  std::string about_uid{};
  bool warning = false;
  std::string reason{};   ///< One word: "FailedScheduling".
  std::string message{};  ///< A sentence.
  bool operator==(const EventNote&) const = default;
};

struct EventRecord {
  EventNote note;
  std::string source;      ///< "deployment-controller", "node"
  std::string name;        ///< Of the Event object: "web-1.17f3a2b4c5d6e7f8".
  std::uint64_t sequence;  ///< Grows with every change of any event.
  std::uint32_t count = 1;
  base::WallTime first{}, last{};
};

class EventLog {
 public:
  explicit EventLog(std::size_t events_max = kEventsMax, base::Duration age_max = kEventAgeMax)
      : events_max_(events_max), age_max_(age_max) {}

  /// The same note about the same object again only raises its count.
  void record(EventNote note, std::string source, base::WallTime now);
  /// Oldest first. Of one namespace, or of all.
  std::vector<EventRecord> list(base::WallTime now,
                                const std::optional<std::string>& name_space = {}) const;
  /// About one object, oldest first.
  std::vector<EventRecord> about(const ObjectRef& ref, base::WallTime now) const;
  /// Sequence of the latest change; 0 before the first.
  std::uint64_t sequence() const { return sequence_; }
  /// Called for every change. One listener at a time; empty: none.
  void listen(std::function<void(const EventRecord&)> listener) { listener_ = std::move(listener); }

 private:
  std::size_t events_max_;
  base::Duration age_max_;
  std::uint64_t sequence_ = 0;
  std::deque<EventRecord> records_;  // ascending by `last`
  std::function<void(const EventRecord&)> listener_;
};

/// As an object of kind Event (v1). resourceVersion is the sequence: events have an order of their
/// own.
Json to_object(const EventRecord& record);

}  // namespace nexus::orchestration
