#pragma once

// Hands the events of a node on to everybody who watches them. Events live in memory
// (orchestration/event_log.hpp) and not in the object store, but the API serves them like objects.

#include <base/async/event.hpp>
#include <deque>
#include <set>

#include "objects/object.hpp"
#include "orchestration/event_log.hpp"

namespace nexus::api {

class EventFeed {
 public:
  static constexpr std::size_t kWaitingMax = 1000;  ///< Of one watcher.

  /// `log` is borrowed; the feed is its listener from now on.
  EventFeed(const base::Executor& executor, orchestration::EventLog& log);
  ~EventFeed();
  EventFeed(const EventFeed&) = delete;
  EventFeed& operator=(const EventFeed&) = delete;

  class Watcher {
   public:
    explicit Watcher(EventFeed& feed);
    ~Watcher();
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

    struct Change {
      bool added = false;  ///< Else it was counted once more.
      ObjectPtr event;
    };
    /// At least one, or none when `limit` passed.
    /// Errors: FailedPrecondition (more came than were fetched).
    base::Task<base::Result<std::vector<Change>>> next(base::Duration limit);

   private:
    friend class EventFeed;
    EventFeed& feed_;
    base::Event arrived_;
    std::deque<Change> waiting_;
    bool overrun_ = false;
  };

  /// All events of one namespace or of all, as objects, oldest first.
  std::vector<ObjectPtr> list(base::WallTime now,
                              const std::optional<std::string>& name_space) const;
  Revision revision() const { return log_.sequence(); }

 private:
  void tell(const orchestration::EventRecord& record);

  base::Executor executor_;
  orchestration::EventLog& log_;
  std::set<Watcher*> watchers_;
};

}  // namespace nexus::api
