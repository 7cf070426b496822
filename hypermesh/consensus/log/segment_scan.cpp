#include "consensus/log/segment_scan.hpp"

#include <algorithm>
#include <limits>

namespace hypermesh::consensus {
namespace {

bool all_zero(base::BytesView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

std::uint64_t align(std::uint64_t offset) {
  return (offset + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
}

class Scan {
 public:
  Scan(const SegmentInput& input, const LogId& log, const at_rest::RecordCipher& cipher,
       const RecordVisitor& visit)
      : input_(input), log_(log), cipher_(cipher), visit_(visit), expected_(input.place.first) {
    const auto bytes = input.bytes;
    const auto last = std::find_if(bytes.rbegin(), bytes.rend(), [](auto byte) { return byte; });
    data_end_ = static_cast<std::uint64_t>(bytes.rend() - last);
    for (const ByteRange& range : input.unreadable)
      data_end_ = std::max(data_end_, std::min<std::uint64_t>(range.end(), bytes.size()));
    scan_.durable = 0;
  }

  base::Result<SegmentScan> run() {
    while (at_ < data_end_) {
      const auto header = plausible_header();
      if (!header) {
        begin_hole();
        at_ += kRecordAlignment;
        continue;
      }
      if (input_.next_first && header->lsn >= *input_.next_first) break;
      end_stretch(header->lsn);
      const std::uint64_t size = record_bytes(header->body_bytes);
      TRY(const bool intact, visit_record(*header, size));
      if (!intact) {
        begin_hole();
        expected_ = header->lsn + 1;
        if (whole({at_, size})) hole_->tell(at_ + size, expected_);
        stretch_ = at_ + size;
      }
      at_ += size;
    }
    finish();
    return std::move(scan_);
  }

 private:
  /// From the first damaged byte on, until an intact record follows.
  struct Hole {
    std::uint64_t offset;
    Lsn first;
    std::uint64_t whole_end;  // Up to there lie records that were written whole.
    Lsn whole_next;           // The lsn after them.
    void tell(std::uint64_t end, Lsn next) {
      whole_end = end;
      whole_next = next;
    }
  };

  void begin_hole() {
    if (hole_) return;
    hole_ = Hole{.offset = at_, .first = expected_, .whole_end = at_, .whole_next = expected_};
    stretch_ = at_;
  }

  /// As many records as fit into bytes of which nothing is known.
  static Lsn records_max(std::uint64_t bytes) { return bytes / kRecordBytesMin; }

  std::optional<RecordHeader> plausible_header() const {
    const auto header = decode_record_header(input_.bytes.subspan(at_), input_.place.number);
    if (!header || record_bytes(header->body_bytes) > input_.bytes.size() - at_)
      return std::nullopt;
    const Lsn skipped_max = hole_ ? records_max(at_ - stretch_) : 0;
    if (header->lsn < expected_ || header->lsn - expected_ > skipped_max) return std::nullopt;
    return header;
  }

  base::Result<bool> visit_record(const RecordHeader& header, std::uint64_t size) {
    const auto typed =
        open_record(header, input_.bytes.subspan(at_, size), log_, input_.place.number, cipher_);
    if (!typed && typed.error().code != base::Errc::NotVerified)
      return std::unexpected(typed.error());
    if (!typed || typed->empty()) return false;
    if (hole_) add_damage(header.lsn, at_);
    hole_.reset();
    expected_ = header.lsn + 1;
    scan_.durable = std::max(scan_.durable, header.durable);
    scan_.used_bytes = at_ + size;
    scan_.found = true;
    visit_(header.lsn, *typed);
    return true;
  }

  void add_damage(Lsn next, std::uint64_t end) {
    if (next <= hole_->first) return;
    scan_.damaged.push_back(
        {.first = hole_->first, .last = next - 1, .where = {hole_->offset, end - hole_->offset}});
  }

  bool unreadable(ByteRange range) const {
    return std::ranges::any_of(input_.unreadable, [&](const ByteRange& each) {
      return each.offset < range.end() && range.offset < each.end();
    });
  }

  /// Whether nothing of a sector's share of `range` is there.
  bool lacks_a_sector(ByteRange range) const {
    for (std::uint64_t at = range.offset; at < range.end();) {
      const std::uint64_t next = std::min(range.end(), (at / kSectorBytes + 1) * kSectorBytes);
      if (all_zero(input_.bytes.subspan(at, next - at))) return true;
      at = next;
    }
    return false;
  }

  /// Of a record whose header is there. A write that was cut short before the mark at its end,
  /// which is never zero, has left zeros there.
  bool whole(ByteRange range) const {
    if (unreadable(range)) return true;
    const auto record = input_.bytes.subspan(range.offset, range.bytes);
    return !all_zero(record.last(kEndMarkBytes)) && !lacks_a_sector(range);
  }

  /// The bytes up to here belong to records whose headers are lost; the next one is `next`.
  void end_stretch(std::optional<Lsn> next) {
    if (!hole_ || stretch_ >= at_) return;
    const std::uint64_t end = whole_up_to(std::min(at_, input_.bytes.size()));
    if (end > stretch_) {
      const Lsn lost = std::max<Lsn>(1, records_max(end - stretch_));
      hole_->tell(end, next.value_or(expected_ + lost));
    }
    stretch_ = at_;
  }

  /// The last place in the stretch where a record ends of which nothing is missing.
  std::uint64_t whole_up_to(std::uint64_t end) const {
    if (unreadable({stretch_, end - stretch_})) return end;
    std::uint64_t reached = stretch_, looked_at = stretch_;
    for (std::uint64_t at = stretch_ + kRecordAlignment; at <= end; at += kRecordAlignment) {
      if (!ends_in_mark(input_.bytes.first(at))) continue;
      if (!lacks_a_sector({looked_at, at - looked_at})) reached = at;
      looked_at = at;
    }
    return reached;
  }

  void finish() {
    at_ = std::min<std::uint64_t>(at_, align(data_end_));
    end_stretch(std::nullopt);
    if (input_.next_first) {
      finish_before(*input_.next_first);
      return;
    }
    if (!hole_) {
      scan_.next = expected_;
      if (scan_.used_bytes == 0) scan_.used_bytes = kSegmentHeaderBytes;
      return;
    }
    scan_.used_bytes = hole_->offset;
    if (hole_->whole_next > hole_->first) {
      scan_.used_bytes = hole_->whole_end;
      add_damage(hole_->whole_next, hole_->whole_end);
    }
    scan_.next = hole_->whole_next;
    if (scan_.used_bytes < data_end_)
      scan_.torn = ByteRange{scan_.used_bytes, data_end_ - scan_.used_bytes};
  }

  /// Every record before `next` was told of: what is not here is lost.
  void finish_before(Lsn next) {
    scan_.next = next;
    const std::uint64_t end = std::max(data_end_, scan_.used_bytes);
    if (!hole_ && expected_ < next) {
      at_ = scan_.used_bytes == 0 ? kSegmentHeaderBytes : scan_.used_bytes;
      begin_hole();
    }
    if (hole_) add_damage(next, std::max(end, hole_->offset));
    scan_.used_bytes = std::max<std::uint64_t>(end, kSegmentHeaderBytes);
  }

  const SegmentInput& input_;
  const LogId& log_;
  const at_rest::RecordCipher& cipher_;
  const RecordVisitor& visit_;
  SegmentScan scan_;
  std::uint64_t at_ = kSegmentHeaderBytes;
  std::uint64_t data_end_ = 0;  // After the last byte that is not zero.
  Lsn expected_;
  std::optional<Hole> hole_;
  std::uint64_t stretch_ = 0;  // In a hole: from there on no header was found.
};

}  // namespace

base::Result<SegmentScan> scan_segment(const SegmentInput& input, const LogId& log,
                                       const at_rest::RecordCipher& cipher,
                                       const RecordVisitor& visit) {
  return Scan(input, log, cipher, visit).run();
}

}  // namespace hypermesh::consensus
