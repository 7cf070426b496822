#include "consensus/log/testing/memory_disk.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hypermesh::consensus::testing {

class MemoryFiles final : public LogFiles {
 public:
  explicit MemoryFiles(MemoryDisk& disk) : disk_(disk) {}

  std::string path(const std::string& name) const override { return "memory:" + name; }
  base::Result<std::vector<std::string>> list() const override { return disk_.names(); }

  base::Result<Content> read(const std::string& name, std::uint64_t bytes_max) const override {
    const auto it = disk_.files_.find(name);
    if (it == disk_.files_.end())
      return base::fail(base::Errc::NotFound, fmt::format("{} does not exist", path(name)));
    Content content{.bytes = it->second.disk, .unreadable = it->second.unreadable};
    for (const auto& write : it->second.unsynced)
      MemoryDisk::apply(content.bytes, write.offset, write.bytes);
    if (content.bytes.size() > bytes_max) content.bytes.resize(bytes_max);
    for (const ByteRange& range : content.unreadable) {
      for (std::uint64_t at = range.offset;
           at < std::min<std::uint64_t>(range.end(), content.bytes.size()); ++at)
        content.bytes[at] = 0;
    }
    return content;
  }

  base::Result<> create(const std::string& name, base::BytesView head,
                        std::uint64_t size) override {
    TRY_DO(disk_.change());
    TRY_DO(disk_.take_space(name, size));
    disk_.files_[name] = {.disk = base::Bytes(head.begin(), head.end()),
                          .size = size,
                          .unsynced = {},
                          .unreadable = {}};
    return {};
  }

  base::Result<> write(const std::string& name, std::uint64_t offset,
                       base::BytesView bytes) override {
    auto& file = disk_.files_.at(name);
    BASE_ASSERT(offset + bytes.size() <= file.size, "records fit into the file");
    file.unsynced.push_back({.offset = offset, .bytes = base::Bytes(bytes.begin(), bytes.end())});
    return disk_.change();
  }

  base::Result<> sync(const std::string& name) override {
    TRY_DO(disk_.change());
    auto& file = disk_.files_.at(name);
    if (std::exchange(disk_.sync_fails_, false)) {
      disk_.settle(file, MemoryDisk::Unsynced::Sectors);
      return base::fail(base::Errc::DataLoss,
                        fmt::format("cannot bring {} to disk: input/output error", path(name)));
    }
    ++disk_.syncs_;
    disk_.settle(file, MemoryDisk::Unsynced::Kept);
    return {};
  }

  base::Result<> cut(const std::string& name, std::uint64_t size) override {
    TRY_DO(disk_.change());
    auto& file = disk_.files_.at(name);
    disk_.settle(file, MemoryDisk::Unsynced::Kept);
    if (disk_.space_) *disk_.space_ += file.size - std::min(size, file.size);
    file.size = std::min(size, file.size);
    file.disk.resize(std::min<std::uint64_t>(file.disk.size(), size));
    return {};
  }

  base::Result<> remove(const std::string& name) override {
    TRY_DO(disk_.change());
    const auto it = disk_.files_.find(name);
    if (it == disk_.files_.end()) return {};
    if (disk_.space_) *disk_.space_ += it->second.size;
    disk_.files_.erase(it);
    return {};
  }

 private:
  MemoryDisk& disk_;
};

std::unique_ptr<LogFiles> MemoryDisk::start() {
  off_ = false;
  for (auto& [name, file] : files_) settle(file, Unsynced::Kept);
  return std::make_unique<MemoryFiles>(*this);
}

void MemoryDisk::cut_power(Unsynced fate) {
  off_ = true;
  changes_left_.reset();
  for (auto& [name, file] : files_) settle(file, fate);
}

void MemoryDisk::cut_power_in(std::uint64_t changes, Unsynced fate) {
  changes_left_ = changes;
  fate_ = fate;
}

base::Result<> MemoryDisk::change() {
  if (!off_ && changes_left_ && *changes_left_ == 0) cut_power(fate_);
  if (off_) return base::fail(base::Errc::Unavailable, "the power is off");
  if (changes_left_) --*changes_left_;
  ++changes_;
  return {};
}

void MemoryDisk::apply(base::Bytes& disk, std::uint64_t offset, base::BytesView bytes) {
  if (disk.size() < offset + bytes.size()) disk.resize(offset + bytes.size());
  std::ranges::copy(bytes, disk.begin() + static_cast<std::ptrdiff_t>(offset));
}

void MemoryDisk::settle(File& file, Unsynced fate) {
  for (const Write& write : std::exchange(file.unsynced, {})) {
    const base::BytesView bytes = write.bytes;
    switch (fate) {
      case Unsynced::Lost:
        break;
      case Unsynced::Kept:
        apply(file.disk, write.offset, bytes);
        break;
      case Unsynced::Cut: {
        const std::uint64_t there = rng_.below(bytes.size() + 1);
        apply(file.disk, write.offset, bytes.first(there));
        if (there < bytes.size()) return;
        break;
      }
      case Unsynced::Sectors:
        for (std::uint64_t at = 0; at < bytes.size();) {
          const std::uint64_t in_file = write.offset + at;
          const std::uint64_t next = std::min<std::uint64_t>(
              bytes.size(), (in_file / kSectorBytes + 1) * kSectorBytes - write.offset);
          if (rng_.below(2) == 0) apply(file.disk, in_file, bytes.subspan(at, next - at));
          at = next;
        }
        break;
    }
  }
}

base::Result<> MemoryDisk::take_space(const std::string& name, std::uint64_t bytes) {
  if (!space_) return {};
  if (*space_ < bytes) {
    return std::unexpected(base::with_hint(
        base::make_error(
            base::Errc::ResourceExhausted,
            fmt::format("cannot make memory:{}: {} bytes are free there", name, *space_)),
        "free space on the disk"));
  }
  *space_ -= bytes;
  return {};
}

bool MemoryDisk::flip_record(Lsn lsn, std::uint64_t bit) {
  for (auto& [name, file] : files_) {
    const auto place = parse_segment_name(name);
    if (!place || place->first > lsn) continue;
    for (std::uint64_t at = kSegmentHeaderBytes; at + kRecordHeaderBytes <= file.disk.size();) {
      const auto header =
          decode_record_header(base::BytesView(file.disk).subspan(at), place->number);
      if (!header) {
        at += kRecordAlignment;
        continue;
      }
      const std::uint64_t size =
          std::min<std::uint64_t>(record_bytes(header->body_bytes), file.disk.size() - at);
      if (header->lsn == lsn) {
        bit %= size * 8;
        file.disk[at + bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
        return true;
      }
      at += size;
    }
  }
  return false;
}

void MemoryDisk::flip_byte(const std::string& name, std::uint64_t offset, std::uint8_t bits) {
  File& file = files_.at(name);
  if (file.disk.size() <= offset) file.disk.resize(offset + 1);
  file.disk[offset] ^= bits;
}

void MemoryDisk::make_unreadable(const std::string& name, ByteRange range) {
  files_.at(name).unreadable.push_back(range);
}

std::vector<std::string> MemoryDisk::names() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : files_) names.push_back(name);
  return names;
}

}  // namespace hypermesh::consensus::testing
