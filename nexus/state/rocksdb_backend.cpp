#include "state/rocksdb_backend.hpp"

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/statvfs.h>

#include <cerrno>

namespace nexus {
namespace {

constexpr std::uint64_t kMebibyte = 1u << 20;

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

class RocksDbView final : public StateBackend::View {
 public:
  explicit RocksDbView(rocksdb::DB& db) : db_(db), snapshot_(&db) {
    options_.snapshot = snapshot_.snapshot();
  }

  base::Result<std::optional<std::string>> get(std::string_view key) const override {
    rocksdb::PinnableSlice value;
    const auto status = db_.Get(options_, db_.DefaultColumnFamily(), slice(key), &value);
    if (status.IsNotFound()) return std::optional<std::string>();
    if (!status.ok()) return std::unexpected(error_of(status, "read the state"));
    return std::string(value.data(), value.size());
  }

  base::Result<StateBackend::Entries> scan(std::string_view from, std::string_view end,
                                           std::size_t entries_max,
                                           std::size_t bytes_max) const override {
    StateBackend::Entries entries;
    std::size_t bytes = 0;
    const rocksdb::Slice bound = slice(end);
    rocksdb::ReadOptions options = options_;
    if (!end.empty()) options.iterate_upper_bound = &bound;
    const std::unique_ptr<rocksdb::Iterator> at(db_.NewIterator(options));
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
    const std::unique_ptr<rocksdb::Iterator> at(db_.NewIterator(options_));
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
  rocksdb::DB& db_;
  rocksdb::ManagedSnapshot snapshot_;
  rocksdb::ReadOptions options_;
};

class RocksDbBackend final : public StateBackend {
 public:
  RocksDbBackend(std::unique_ptr<rocksdb::DB> db, std::filesystem::path folder,
                 const RocksDbOptions& options, base::Log log)
      : db_(std::move(db)), folder_(std::move(folder)), options_(options), log_(std::move(log)) {}

  ~RocksDbBackend() override {
    const auto status = db_->Close();
    if (!status.ok())
      log_.warning("the state did not close cleanly", {{"status", status.ToString()}});
  }

  std::unique_ptr<View> view() const override { return std::make_unique<RocksDbView>(*db_); }

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
    TRY_DO(check_room(records.GetDataSize()));
    TRY_DO(recover());
    rocksdb::WriteOptions options;
    options.sync = options_.sync;
    const auto status = db_->Write(options, &records);
    if (status.ok()) return {};
    // The log may hold half of the batch. Recovery starts a new one; until that works, nothing is
    // written.
    failed_ = true;
    auto error = error_of(status, "write the state");
    log_.error("the state cannot be written", {{"error", error}});
    (void)recover();
    return std::unexpected(
        base::with_hint(std::move(error), "nothing was changed; free space and try again"));
  }

 private:
  base::Result<> check_room(std::uint64_t batch_bytes) const {
    if (options_.free_bytes_min == 0) return {};
    struct statvfs disk{};
    if (::statvfs(folder_.c_str(), &disk) != 0)
      return base::fail_errno(errno, "look at the disk of " + folder_.string());
    const std::uint64_t free_bytes = disk.f_bavail * disk.f_frsize;
    const std::uint64_t wanted = options_.free_bytes_min + 2 * batch_bytes;
    const bool inodes_left = disk.f_files == 0 || disk.f_favail > 16;
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

  base::Result<> recover() {
    if (!failed_) return {};
    const auto status = db_->Resume();
    if (!status.ok()) {
      return base::fail(status.IsNoSpace() || status.IsBusy() ? base::Errc::ResourceExhausted
                                                              : base::Errc::Unavailable,
                        fmt::format("the state cannot be written since an earlier failure: {}",
                                    status.ToString()));
    }
    failed_ = false;
    log_.info("the state can be written again");
    return {};
  }

  std::unique_ptr<rocksdb::DB> db_;
  std::filesystem::path folder_;
  RocksDbOptions options_;
  base::Log log_;
  bool failed_ = false;
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

}  // namespace

base::Result<std::unique_ptr<StateBackend>> open_rocksdb_backend(
    const std::filesystem::path& folder, const RocksDbOptions& options, base::Log log) {
  rocksdb::DB* opened = nullptr;
  const auto status = rocksdb::DB::Open(tuned(options), folder.string(), &opened);
  if (!status.ok()) {
    auto error = error_of(status, "open the state in " + folder.string());
    if (status.ToString().find("lock") != std::string::npos)
      error.code = base::Errc::FailedPrecondition;
    if (error.code == base::Errc::DataLoss) {
      error = base::with_hint(std::move(error),
                              "keep a copy of the folder; restore a backup with hm backup restore");
    }
    return std::unexpected(std::move(error));
  }
  return std::make_unique<RocksDbBackend>(std::unique_ptr<rocksdb::DB>(opened), folder, options,
                                          std::move(log));
}

}  // namespace nexus
