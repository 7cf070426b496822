#include "orchestration/event_log.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "manifest/kinds.hpp"

namespace nexus::orchestration {

namespace {

void shorten(std::string& message) {
  if (message.size() <= kEventMessageBytesMax) return;
  std::size_t end = kEventMessageBytesMax - 3;
  // No character of UTF-8 is cut in two.
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xc0) == 0x80) --end;
  message.resize(end);
  message += "...";
}

}  // namespace

void EventLog::record(EventNote note, std::string source, base::WallTime now) {
  shorten(note.message);
  // Ahead of whatever a daemon before us gave out, so that a watch goes on after a restart.
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch());
  sequence_ = std::max(sequence_ + 1, static_cast<std::uint64_t>(micros.count()));
  const auto same = std::find_if(records_.rbegin(), records_.rend(), [&](const EventRecord& each) {
    return each.note == note && each.source == source;
  });
  if (same != records_.rend()) {
    EventRecord again = std::move(*same);
    records_.erase(std::next(same).base());
    again.last = now;
    again.sequence = sequence_;
    ++again.count;
    records_.push_back(std::move(again));
  } else {
    std::string name =
        fmt::format("{}.{:016x}", note.about.name,
                    static_cast<std::uint64_t>(now.time_since_epoch().count()) + sequence_);
    records_.push_back({.note = std::move(note),
                        .source = std::move(source),
                        .name = std::move(name),
                        .sequence = sequence_,
                        .count = 1,
                        .first = now,
                        .last = now});
  }
  while (records_.size() > events_max_ ||
         (!records_.empty() && records_.front().last + age_max_ < now)) {
    records_.pop_front();
  }
  if (listener_) listener_(records_.back());
}

std::vector<EventRecord> EventLog::list(base::WallTime now,
                                        const std::optional<std::string>& name_space) const {
  std::vector<EventRecord> out;
  for (const EventRecord& each : records_) {
    if (each.last + age_max_ < now) continue;
    if (!name_space || each.note.about.name_space == *name_space) out.push_back(each);
  }
  return out;
}

std::vector<EventRecord> EventLog::about(const ObjectRef& ref, base::WallTime now) const {
  std::vector<EventRecord> out;
  for (const EventRecord& each : records_) {
    if (each.note.about == ref && each.last + age_max_ >= now) out.push_back(each);
  }
  return out;
}

Json to_object(const EventRecord& record) {
  const ObjectRef& about = record.note.about;
  const manifest::KindInfo* kind = manifest::find_kind(about.kind);
  const std::string name_space = about.name_space.empty() ? "default" : about.name_space;
  Json involved{{"kind", about.kind},
                {"name", about.name},
                {"uid", record.note.about_uid},
                {"apiVersion", kind == nullptr ? std::string("v1") : kind->api_version()}};
  if (!about.name_space.empty()) involved["namespace"] = about.name_space;
  return Json{{"apiVersion", "v1"},
              {"kind", "Event"},
              {"metadata",
               {{"name", record.name},
                {"namespace", name_space},
                {"uid", record.name},
                {"creationTimestamp", base::to_rfc3339(record.first)},
                {"resourceVersion", std::to_string(record.sequence)}}},
              {"involvedObject", std::move(involved)},
              {"type", record.note.warning ? "Warning" : "Normal"},
              {"reason", record.note.reason},
              {"message", record.note.message},
              {"source", {{"component", record.source}}},
              {"reportingComponent", record.source},
              {"reportingInstance", ""},
              {"firstTimestamp", base::to_rfc3339(record.first)},
              {"lastTimestamp", base::to_rfc3339(record.last)},
              {"eventTime", nullptr},
              {"count", record.count}};
}

}  // namespace nexus::orchestration
