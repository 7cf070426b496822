#include "state/rocksdb_backend.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <shared_mutex>

namespace nexus {
namespace {

constexpr std::uint64_t kMebibyte = 1u << 20;
constexpr std::uint64_t kInodesMin = 16;

rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}

base::Error error_of(const rocksdb::Status& status, std::string_view what) {
  base::Errc code = base::Errc::Unavailable;
  if (status.IsNoSpace()) {
    code = base::Errc::ResourceExhausted;
  } else if (status.IsCorruption()) {
    code = base::Errc::DataLoss;
  }
  return base::make_error(code, fmt::format("{}: {}", what, status.ToString()));
}

base::Error closed_error() {
  return base::make_error(base::Errc::Unavailable, "the state is closed since its disk failed");
}

// Holds the database open: it is reopened only when nobody reads.
class RocksDbView final : public StateBackend::View {
 public:
  RocksDbView(rocksdb::DB* db, std::shared_lock<std::shared_mutex> open)
      : open_(std::move(open)), db_(db), snapshot_(db ? db->GetSnapshot() : nullptr) {
    options_.snapshot = snapshot_;
  }
  ~RocksDbView() override {
    if (db_) db_->ReleaseSnapshot(snapshot_);
  }
  RocksDbView(const RocksDbView&) = delete;
  RocksDbView& operator=(const RocksDbView&) = delete;

  base::Result<std::optional<std::string>> get(std::string_view key) const override {
    if (!db_) return std::unexpected(closed_error());
    rocksdb::PinnableSlice value;
    const auto status = db_->Get(options_, db_->DefaultColumnFamily(), slice(key), &value);
    if (status.IsNotFound()) return std::optional<std::string>();
    if (!status.ok()) return std::unexpected(error_of(status, "read the state"));
    return std::string(value.data(), value.size());
  }

  base::Result<StateBackend::Entries> scan(std::string_view from, std::string_view end,
                                           std::size_t entries_max,
                                           std::size_t bytes_max) const override {
    if (!db_) return std::unexpected(closed_error());
    StateBackend::Entries entries;
    std::size_t bytes = 0;
    const rocksdb::Slice bound = slice(end);
    rocksdb::ReadOptions options = options_;
    if (!end.empty()) options.iterate_upper_bound = &bound;
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options));
    for (at->Seek(slice(from)); at->Valid() && entries.size() < entries_max && bytes < bytes_max;
         at->Next()) {
      entries.emplace_back(at->key().ToString(), at->value().ToString());
      bytes += at->key().size() + at->value().size();
    }
    if (!at->status().ok()) return std::unexpected(error_of(at->status(), "read the state"));
    return entries;
  }

  base::Result<std::optional<std::pair<std::string, std::string>>> last(
      std::string_view from, std::string_view end) const override {
    if (!db_) return std::unexpected(closed_error());
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options_));
    if (end.empty()) {
      at->SeekToLast();
    } else {
      at->SeekForPrev(slice(end));
      if (at->Valid() && at->key() == slice(end)) at->Prev();
    }
    if (!at->status().ok()) return std::unexpected(error_of(at->status(), "read the state"));
    if (!at->Valid() || at->key().compare(slice(from)) < 0)
      return std::optional<std::pair<std::string, std::string>>();
    return std::pair(at->key().ToString(), at->value().ToString());
  }

 private:
  std::shared_lock<std::shared_mutex> open_;
  rocksdb::DB* db_;  // null when it could not be reopened
  const rocksdb::Snapshot* snapshot_;
  rocksdb::ReadOptions options_;
};

// RocksDB's own recovery looks at the disk every few seconds and refuses ours meanwhile. The next
// write knows earlier whether there is room.
class NoAutomaticRecovery final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

rocksdb::Options tuned(const RocksDbOptions& wanted) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.paranoid_checks = true;
  // A write that was under way when the power went leaves half a record at the end, which nobody
  // was told of.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.write_buffer_size = wanted.write_buffer_bytes;
  options.max_write_buffer_number = 2;
  options.arena_block_size = 128 * 1024;
  options.allow_concurrent_memtable_write = false;  // there is one writer
  options.max_open_files = wanted.open_files_max;
  options.max_background_jobs = 2;
  options.compression = rocksdb::kLZ4Compression;
  options.level_compaction_dynamic_level_bytes = true;
  options.target_file_size_base = 4 * kMebibyte;
  options.max_bytes_for_level_base = 16 * kMebibyte;
  options.bytes_per_sync = kMebibyte;
  // Nothing runs while nothing happens.
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.max_bgerror_resume_count = 0;
  options.listeners.push_back(std::make_shared<NoAutomaticRecovery>());
  options.skip_stats_update_on_db_open = true;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.max_log_file_size = kMebibyte;
  options.keep_log_file_num = 2;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(wanted.cache_bytes, 0);
  table.cache_index_and_filter_blocks = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

base::Result<std::unique_ptr<rocksdb::DB>> open_database(const std::filesystem::path& folder,
                                                         const RocksDbOptions& options) {
  rocksdb::DB* opened = nullptr;
  const auto status = rocksdb::DB::Open(tuned(options), folder.string(), &opened);
  if (status.ok()) return std::unique_ptr<rocksdb::DB>(opened);
  auto error = error_of(status, "open the state in " + folder.string());
  if (status.ToString().find("lock") != std::string::npos)
    error.code = base::Errc::FailedPrecondition;
  if (error.code == base::Errc::DataLoss)
    error = base::with_hint(std::move(error), "keep this folder, and put your copy of it back");
  return std::unexpected(std::move(error));
}

class RocksDbBackend final : public StateBackend {
 public:
  RocksDbBackend(std::unique_ptr<rocksdb::DB> db, std::filesystem::path folder,
                 const RocksDbOptions& options, base::Log log)
      : db_(std::move(db)), folder_(std::move(folder)), options_(options), log_(std::move(log)) {}

  ~RocksDbBackend() override {
    if (!db_) return;
    const auto status = db_->Close();
    if (!status.ok() && !failed_)
      log_.warning("the state did not close cleanly", {{"status", status.ToString()}});
  }

  std::unique_ptr<View> view() const override {
    std::shared_lock open(open_mutex_);
    return std::make_unique<RocksDbView>(db_.get(), std::move(open));
  }

  // RocksDB refuses everything after a failed write, and its own Resume() leaves the broken log in
  // use when the memory table is empty. So the database is opened anew, once there is room for
  // that.
  base::Result<> prepare() override {
    if (!failed_) return {};
    TRY_DO(check_room(std::max(options_.free_bytes_min, 2 * options_.write_buffer_bytes)));
    const std::unique_lock nobody_reads(open_mutex_);
    db_.reset();
    TRY(db_, open_database(folder_, options_));
    failed_ = false;
    log_.info("the state can be written again");
    return {};
  }

  base::Result<> write(const Batch& batch) override {
    rocksdb::WriteBatch records;
    for (const auto& [from, end] : batch.delete_ranges) records.DeleteRange(from, end);
    for (const auto& [key, value] : batch.writes) {
      if (value) {
        records.Put(key, *value);
      } else {
        records.Delete(key);
      }
    }
    if (options_.free_bytes_min != 0)
      TRY_DO(check_room(options_.free_bytes_min + 2 * records.GetDataSize()));
    const LogEnd log_end = end_of_log();
    rocksdb::WriteOptions options;
    options.sync = options_.sync;
    const auto status = db_->Write(options, &records);
    if (status.ok()) return {};
    failed_ = true;
    auto error = error_of(status, "write the state");
    log_.error("the state cannot be written", {{"error", error}});
    TRY_DO(forget_log_after(log_end));
    return std::unexpected(
        base::with_hint(std::move(error), "nothing was changed; free space and try again"));
  }

 private:
  struct LogEnd {
    std::uint64_t number = 0;
    std::uint64_t bytes = 0;
  };

  LogEnd end_of_log() const {
    std::unique_ptr<rocksdb::LogFile> log;
    if (!db_->GetCurrentWalFile(&log).ok() || !log) return {};
    return {log->LogNumber(), log->SizeFileBytes()};
  }

  // What a failed write left in the log must not come back after a restart: nobody was told that it
  // happened.
  base::Result<> forget_log_after(const LogEnd& before) {
    std::unique_ptr<rocksdb::LogFile> log;
    if (const auto status = db_->GetCurrentWalFile(&log); !status.ok())
      return std::unexpected(error_of(status, "find the log of the state"));
    const auto path = folder_ / log->PathName().substr(log->PathName().find_first_not_of('/'));
    const auto bytes = log->LogNumber() == before.number ? before.bytes : 0;
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return base::fail_errno(errno, "open " + path.string());
    const bool cut = ::ftruncate(fd, static_cast<off_t>(bytes)) == 0 && ::fsync(fd) == 0;
    const int error_number = errno;
    ::close(fd);
    if (!cut) return base::fail_errno(error_number, "cut " + path.string());
    return {};
  }

  base::Result<> check_room(std::uint64_t wanted) const {
    struct statvfs disk{};
    if (::statvfs(folder_.c_str(), &disk) != 0)
      return base::fail_errno(errno, "look at the disk of " + folder_.string());
    const std::uint64_t free_bytes = disk.f_bavail * disk.f_frsize;
    const bool inodes_left = disk.f_files == 0 || disk.f_favail > kInodesMin;
    if (free_bytes >= wanted && inodes_left) return {};
    auto error = base::make_error(
        base::Errc::ResourceExhausted,
        inodes_left
            ? fmt::format("the disk of {} has {} MiB left; a write of the state needs {} MiB",
                          folder_.string(), free_bytes / kMebibyte,
                          (wanted + kMebibyte - 1) / kMebibyte)
            : fmt::format("the disk of {} has no room for more files", folder_.string()));
    return std::unexpected(base::with_hint(
        std::move(error), "nothing was changed; free space and try again: hm image gc"));
  }

  mutable std::shared_mutex open_mutex_;  // held shared by views, alone to reopen
  std::unique_ptr<rocksdb::DB> db_;
  std::filesystem::path folder_;
  RocksDbOptions options_;
  base::Log log_;
  bool failed_ = false;
};

}  // namespace

base::Result<std::unique_ptr<StateBackend>> open_rocksdb_backend(
    const std::filesystem::path& folder, const RocksDbOptions& options, base::Log log) {
  TRY(auto database, open_database(folder, options));
  return std::make_unique<RocksDbBackend>(std::move(database), folder, options, std::move(log));
}

}  // namespace nexus
