#include "consensus/log/segment_log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "consensus/log/segment_scan.hpp"

namespace hypermesh::consensus {
namespace {

/// Of what a seal may add to a record.
constexpr std::uint64_t kSealBytesMax = 256;

struct Segment {
  SegmentPlace place;
  std::uint64_t used_bytes = 0;  // Records and damage end there.
  Lsn next = 0;                  // The lsn after its last record.
  bool followed = false;         // It was on disk whole before the segment after it was made.
};

class SegmentLog final : public Log {
 public:
  SegmentLog(std::unique_ptr<LogFiles> files, at_rest::RecordCipher& cipher,
             const LogOptions& options)
      : files_(std::move(files)), cipher_(cipher), options_(options) {}

  base::Result<> open() {
    TRY(const auto places, list_segments());
    std::vector<Found> found;
    for (std::size_t i = 0; i < places.size(); ++i) {
      std::optional<Lsn> next_first;
      if (i + 1 < places.size()) next_first = places[i + 1].first;
      TRY(Found each, look_at(places[i], next_first));
      found.push_back(std::move(each));
    }
    // Nothing is changed before everything was understood.
    for (std::size_t i = 0; i < places.size(); ++i) {
      const bool last = i + 1 == places.size();
      segments_.push_back({.place = places[i],
                           .used_bytes = found[i].scan.used_bytes,
                           .next = found[i].scan.next,
                           .followed = !last && (found[i + 1].continues ||
                                                 places[i + 1].number != places[i].number + 1)});
      report(found[i], segments_.back());
      if (last) TRY_DO(begin_behind(found[i]));
    }
    durable_ = contents_.last;
    pending_ = LogBatch(durable_ + 1);
    return {};
  }

  const LogContents& opened() const override { return contents_; }
  std::uint64_t payload_bytes_max() const override { return options_.payload_bytes_max; }

  base::Result<Lsn> append(std::uint8_t type, base::BytesView payload) override {
    TRY_DO(still_good());
    if (payload.size() > options_.payload_bytes_max) {
      return base::fail(base::Errc::InvalidArgument,
                        fmt::format("a record of {} bytes; the log takes up to {}", payload.size(),
                                    options_.payload_bytes_max));
    }
    if (!pending_.empty() && pending_.bytes() + payload.size() > options_.pending_bytes_max) {
      return base::fail(base::Errc::ResourceExhausted,
                        fmt::format("{} bytes wait to be written to the log; the limit is {}",
                                    pending_.bytes(), options_.pending_bytes_max));
    }
    pending_.add(type, payload);
    return appended();
  }

  LogBatch take() override {
    const Lsn next = appended() + 1;
    return std::exchange(pending_, LogBatch(next));
  }

  base::Result<Lsn> write(LogBatch batch) override {
    TRY_DO(still_good());
    if (batch.empty()) return durable();
    BASE_ASSERT(batch.first() == durable() + 1, "batches are written in the order they were taken");
    if (auto written = write_batch(batch); !written) {
      const std::lock_guard lock(mutex_);
      ended_ = written.error();
      return std::unexpected(std::move(written).error());
    }
    return durable();
  }

  bool behind() const override { return pending_.bytes() > options_.pending_bytes_max / 2; }
  Lsn appended() const override { return pending_.first() + pending_.size() - 1; }
  Lsn durable() const override {
    const std::lock_guard lock(mutex_);
    return durable_;
  }

  base::Result<std::vector<LogGap>> read(Lsn from, const Visitor& visit) const override {
    std::vector<LogGap> gaps;
    const std::vector<Segment> segments = snapshot();
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const Segment& each = segments[i];
      const Lsn next = i + 1 < segments.size() ? segments[i + 1].place.first : each.next;
      if (next <= from) continue;
      auto found = files_->read(segment_name(each.place), each.used_bytes);
      if (!found && found.error().code == base::Errc::NotFound && !holds(each.place)) continue;
      TRY(const auto content, std::move(found));
      TRY(const SegmentScan scan, scan_content(content, each.place, next, [&](Lsn lsn, auto typed) {
            if (lsn >= from) visit({.lsn = lsn, .type = typed[0], .payload = typed.subspan(1)});
          }));
      for (const Damage& damage : scan.damaged)
        if (damage.last >= from) gaps.push_back(gap(damage, each, scan.durable));
    }
    return gaps;
  }

  base::Result<> drop_before(Lsn lsn) override {
    for (;;) {
      std::string name;
      {
        const std::lock_guard lock(mutex_);
        if (segments_.size() < 2 || segments_[1].place.first > lsn) return {};
        name = segment_name(segments_.front().place);
      }
      TRY_DO(files_->remove(name));
      const std::lock_guard lock(mutex_);
      if (!segments_.empty() && segment_name(segments_.front().place) == name)
        segments_.erase(segments_.begin());
    }
  }

 private:
  base::Result<> still_good() const {
    const std::lock_guard lock(mutex_);
    if (ended_) return std::unexpected(*ended_);
    return {};
  }

  std::vector<Segment> snapshot() const {
    const std::lock_guard lock(mutex_);
    return segments_;
  }

  bool holds(SegmentPlace place) const {
    const std::lock_guard lock(mutex_);
    return std::ranges::find(segments_, place, &Segment::place) != segments_.end();
  }

  base::Result<std::vector<SegmentPlace>> list_segments() const {
    TRY(const auto names, files_->list());
    std::vector<SegmentPlace> places;
    for (const std::string& name : names)
      if (const auto place = parse_segment_name(name)) places.push_back(*place);
    std::ranges::sort(places, {}, &SegmentPlace::number);
    for (std::size_t i = 1; i < places.size(); ++i) {
      if (places[i - 1].number < places[i].number && places[i - 1].first <= places[i].first)
        continue;
      return std::unexpected(
          base::with_hint(base::make_error(base::Errc::FailedPrecondition,
                                           fmt::format("{} and {} cannot both be of one log",
                                                       files_->path(segment_name(places[i - 1])),
                                                       files_->path(segment_name(places[i])))),
                          "put the folder back as it was; move what was copied into it elsewhere"));
    }
    return places;
  }

  base::Result<SegmentScan> scan_content(const LogFiles::Content& content, SegmentPlace place,
                                         std::optional<Lsn> next,
                                         const RecordVisitor& visit) const {
    auto scan = scan_segment({.bytes = content.bytes,
                              .place = place,
                              .next_first = next,
                              .unreadable = content.unreadable},
                             options_.id, cipher_, visit);
    if (!scan) {
      return std::unexpected(base::wrap(
          std::move(scan).error(),
          fmt::format("a record of {} cannot be read", files_->path(segment_name(place)))));
    }
    return scan;
  }

  LogGap gap(const Damage& damage, const Segment& segment, Lsn durable) const {
    return {.first = damage.first,
            .last = damage.last,
            .file = files_->path(segment_name(segment.place)),
            .offset = damage.where.offset,
            .bytes = damage.where.bytes,
            .acknowledged = segment.followed || damage.first <= durable};
  }

  /// What open() reads in a file.
  struct Found {
    SegmentScan scan;
    bool header_intact = false, continues = false;
    std::uint64_t file_bytes = 0;
  };

  base::Result<Found> look_at(SegmentPlace place, std::optional<Lsn> next_first) const {
    const std::string name = segment_name(place);
    TRY(const auto content, files_->read(name, LogFiles::kWhole));
    auto header = check_segment_header(content.bytes, options_.id, place, cipher_);
    if (!header) return std::unexpected(base::wrap(std::move(header).error(), files_->path(name)));
    TRY(SegmentScan scan, scan_content(content, place, next_first, [](Lsn, auto) {}));
    return Found{.scan = std::move(scan),
                 .header_intact = header->intact,
                 .continues = header->continues,
                 .file_bytes = content.bytes.size()};
  }

  void report(const Found& found, const Segment& segment) {
    const std::string path = files_->path(segment_name(segment.place));
    if (!found.header_intact) contents_.damaged_headers.push_back(path);
    for (const Damage& damage : found.scan.damaged)
      contents_.gaps.push_back(gap(damage, segment, found.scan.durable));
    if (const auto& torn = found.scan.torn)
      contents_.torn_tail = LogTornTail{.file = path, .offset = torn->offset, .bytes = torn->bytes};
  }

  /// The last file ends where its records do; what is appended goes to the one after.
  base::Result<> begin_behind(const Found& found) {
    const Segment last = segments_.back();
    contents_.first = segments_.front().place.first;
    contents_.last = last.next - 1;
    next_number_ = last.place.number + 1;
    if (found.file_bytes > last.used_bytes)
      TRY_DO(files_->cut(segment_name(last.place), last.used_bytes));
    // A file without a record is made anew under its own name.
    const bool empty = last.next == last.place.first;
    if (empty) {
      next_number_ = last.place.number;
      segments_.pop_back();
    }
    continues_ = empty && found.continues;
    // Whoever opened the log acts on what is there: if that is damaged later, it was acknowledged.
    if (!segments_.empty()) continues_ = continues_ || is_whole(segments_.back());
    return {};
  }

  /// But for damage of which the open said that it was acknowledged.
  bool is_whole(const Segment& segment) const {
    return std::ranges::none_of(contents_.gaps, [&](const LogGap& gap) {
      return !gap.acknowledged && gap.file == files_->path(segment_name(segment.place));
    });
  }

  base::Result<> write_batch(const LogBatch& batch) {
    base::Bytes out;
    out.reserve(std::min<std::uint64_t>(record_bytes(kSealBytesMax) * batch.size() + batch.bytes(),
                                        options_.segment_bytes));
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const Lsn lsn = batch.first() + i;
      const std::uint64_t room = record_bytes(batch.typed(i).size() + kSealBytesMax);
      if (!active_ || active_->used_bytes + out.size() + room > options_.segment_bytes) {
        TRY_DO(finish(out, lsn));
        TRY_DO(begin_segment(lsn));
      }
      writer_->add(out, lsn, durable_here_, batch.typed(i));
    }
    return finish(out, batch.first() + batch.size());
  }

  /// Brings `out` to disk, the records before `next` in the active segment.
  base::Result<> finish(base::Bytes& out, Lsn next) {
    if (out.empty()) return {};
    const std::string name = segment_name(active_->place);
    TRY_DO(files_->write(name, active_->used_bytes, out));
    TRY_DO(files_->sync(name));
    active_->used_bytes += out.size();
    active_->next = next;
    out.clear();
    durable_here_ = next - 1;
    const std::lock_guard lock(mutex_);
    segments_.back() = *active_;
    durable_ = next - 1;
    return {};
  }

  base::Result<> begin_segment(Lsn first) {
    const SegmentPlace place{.number = next_number_, .first = first};
    TRY_DO(files_->create(segment_name(place),
                          encode_segment_header(options_.id, place, continues_, cipher_),
                          options_.segment_bytes));
    ++next_number_;
    const bool follows = std::exchange(continues_, true);
    writer_.emplace(options_.id, place.number, cipher_);
    const std::lock_guard lock(mutex_);
    if (follows && !segments_.empty()) segments_.back().followed = true;
    active_ = Segment{.place = place, .used_bytes = kSegmentHeaderBytes, .next = first};
    segments_.push_back(*active_);
    return {};
  }

  const std::unique_ptr<LogFiles> files_;
  at_rest::RecordCipher& cipher_;
  const LogOptions options_;
  LogContents contents_;  // Made by open(), then never changed.

  LogBatch pending_;  // The engine's thread.

  std::optional<Segment> active_;  // These five: write()'s thread.
  std::optional<RecordWriter> writer_;
  std::uint64_t next_number_ = 1;
  bool continues_ = false;  // The next segment follows one that is on disk whole.
  Lsn durable_here_ = 0;    // What this run has brought to disk; 0: nothing yet.

  mutable std::mutex mutex_;
  std::vector<Segment> segments_;  // These three: guarded by mutex_. In order; not empty ones.
  Lsn durable_ = 0;
  std::optional<base::Error> ended_;
};

}  // namespace

base::Result<> LogOptions::validate() const {
  const std::uint64_t least =
      kSegmentHeaderBytes + record_bytes(1 + payload_bytes_max + kSealBytesMax);
  if (payload_bytes_max + kSealBytesMax + 1 > kBodyBytesMax) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("payload_bytes_max is {}; must be at most {}", payload_bytes_max,
                                  kBodyBytesMax - kSealBytesMax - 1));
  }
  if (segment_bytes < least) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("segment_bytes is {}; must be at least {} for records of {}",
                                  segment_bytes, least, payload_bytes_max));
  }
  return {};
}

base::Result<std::unique_ptr<Log>> open_segment_log(std::unique_ptr<LogFiles> files,
                                                    at_rest::RecordCipher& cipher,
                                                    LogOptions options) {
  TRY_DO(options.validate());
  auto log = std::make_unique<SegmentLog>(std::move(files), cipher, options);
  TRY_DO(log->open());
  return log;
}

}  // namespace hypermesh::consensus
