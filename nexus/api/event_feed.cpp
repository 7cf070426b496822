#include "api/event_feed.hpp"

namespace nexus::api {

EventFeed::EventFeed(const base::Executor& executor, orchestration::EventLog& log)
    : executor_(executor), log_(log) {
  log_.listen([this](const orchestration::EventRecord& record) { tell(record); });
}

EventFeed::~EventFeed() {
  log_.listen({});
  BASE_ASSERT(watchers_.empty(), "somebody watches events that come no more");
}

EventFeed::Watcher::Watcher(EventFeed& feed) : feed_(feed), arrived_(feed.executor_) {
  feed_.watchers_.insert(this);
}
EventFeed::Watcher::~Watcher() {
  feed_.watchers_.erase(this);
}

void EventFeed::tell(const orchestration::EventRecord& record) {
  if (watchers_.empty()) return;
  const auto event =
      std::make_shared<const Object>(Object{orchestration::to_object(record), record.sequence});
  for (Watcher* watcher : watchers_) {
    if (watcher->waiting_.size() >= kWaitingMax) {
      watcher->overrun_ = true;
    } else {
      watcher->waiting_.push_back({record.count == 1, event});
    }
    watcher->arrived_.notify();
  }
}

base::Task<base::Result<std::vector<EventFeed::Watcher::Change>>> EventFeed::Watcher::next(
    base::Duration limit) {
  if (waiting_.empty() && !overrun_) co_await arrived_.wait_for(limit);
  if (overrun_)
    co_return base::fail(base::Errc::FailedPrecondition, "events came faster than they were read");
  std::vector<Change> changes(std::make_move_iterator(waiting_.begin()),
                              std::make_move_iterator(waiting_.end()));
  waiting_.clear();
  co_return changes;
}

std::vector<ObjectPtr> EventFeed::list(base::WallTime now,
                                       const std::optional<std::string>& name_space) const {
  std::vector<ObjectPtr> events;
  for (const orchestration::EventRecord& record : log_.list(now, name_space)) {
    events.push_back(
        std::make_shared<const Object>(Object{orchestration::to_object(record), record.sequence}));
  }
  return events;
}

}  // namespace nexus::api
