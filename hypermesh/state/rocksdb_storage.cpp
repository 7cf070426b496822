#include "state/rocksdb_storage.hpp"

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <shared_mutex>

namespace hypermesh::state {
namespace {

constexpr std::uint64_t kMebibyte = 1u << 20;
constexpr std::uint64_t kInodesMin = 16;

rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}
std::string_view view(const rocksdb::Slice& bytes) {
  return {bytes.data(), bytes.size()};
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

// RocksDB's own recovery would look at the disk every few seconds; `reopen` is asked for instead.
class NoAutomaticRecovery final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

rocksdb::Options tuned(const RocksDbStorageOptions& wanted) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.paranoid_checks = true;
  options.write_buffer_size = wanted.write_buffer_bytes;
  options.max_write_buffer_number = 2;
  // What is written last stays in the processor's caches; files of one write buffer are merged when
  // they are 64 MiB.
  options.level0_file_num_compaction_trigger = 16;
  options.level0_slowdown_writes_trigger = 40;
  options.level0_stop_writes_trigger = 64;
  options.allow_concurrent_memtable_write = false;  // there is one writer
  options.max_open_files = wanted.open_files_max;
  options.max_background_jobs = 2;
  options.compression = rocksdb::kNoCompression;  // sealed bytes do not shrink
  options.level_compaction_dynamic_level_bytes = true;
  options.target_file_size_base = 16 * kMebibyte;
  options.max_bytes_for_level_base = 64 * kMebibyte;
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
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
  table.format_version = 5;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

base::Result<std::unique_ptr<rocksdb::DB>> open_database(const std::filesystem::path& folder,
                                                         const RocksDbStorageOptions& options) {
  rocksdb::DB* opened = nullptr;
  const auto status = rocksdb::DB::Open(tuned(options), folder.string(), &opened);
  if (status.ok()) return std::unique_ptr<rocksdb::DB>(opened);
  auto error = error_of(status, "open the state in " + folder.string());
  if (status.ToString().find("lock") != std::string::npos)
    error.code = base::Errc::FailedPrecondition;
  if (error.code == base::Errc::DataLoss) {
    error = base::with_hint(std::move(error),
                            "move this folder away; the state is then fetched from the others");
  }
  return std::unexpected(std::move(error));
}

base::Error closed_error() {
  return base::make_error(base::Errc::Unavailable, "the state is closed since its disk failed");
}

class RocksDbStorage final : public Storage {
 public:
  RocksDbStorage(std::unique_ptr<rocksdb::DB> db, std::filesystem::path folder,
                 const RocksDbStorageOptions& options, at_rest::RecordCipher& cipher, base::Log log)
      : db_(std::move(db)),
        folder_(std::move(folder)),
        options_(options),
        cipher_(cipher),
        log_(std::move(log)) {}

  ~RocksDbStorage() override {
    if (!db_) return;
    const auto status = db_->Close();
    if (!status.ok() && !failed_)
      log_.warning("the state did not close cleanly", {{"status", status.ToString()}});
  }

  base::Result<std::optional<std::string>> get(std::string_view key) const override {
    const std::shared_lock open(open_mutex_);
    return get_with({}, key);
  }
  base::Result<> scan(std::string_view from, std::string_view end,
                      const Visit& visit) const override {
    const std::shared_lock open(open_mutex_);
    return scan_with({}, from, end, visit);
  }
  std::unique_ptr<Reader> snapshot() const override { return std::make_unique<Snapshot>(*this); }

  base::Result<> write(const Batch& batch) override {
    if (failed_ || !db_) {
      return base::fail(base::Errc::Unavailable,
                        "a write failed before; the state must be reopened");
    }
    rocksdb::WriteBatch records;
    for (const auto& [from, end] : batch.delete_ranges) records.DeleteRange(from, end);
    // In key order neighbours are found in the cache, and what is overwritten at once is left out.
    std::vector<const std::pair<std::string, std::optional<std::string>>*> writes;
    writes.reserve(batch.writes.size());
    for (const auto& write : batch.writes) writes.push_back(&write);
    std::ranges::stable_sort(writes, {},
                             [](const auto* write) { return std::string_view(write->first); });
    for (std::size_t i = 0; i < writes.size(); ++i) {
      const auto& [key, value] = *writes[i];
      if (i + 1 < writes.size() && writes[i + 1]->first == key) continue;  // overwritten at once
      if (!value) {
        records.Delete(key);
        continue;
      }
      const auto sealed = cipher_.seal(base::as_bytes(*value), base::as_bytes(key));
      records.Put(key, slice(base::as_text(sealed)));
    }
    if (options_.free_bytes_min != 0) {
      if (auto room = check_room(options_.free_bytes_min + 2 * records.GetDataSize()); !room) {
        failed_ = true;
        return room;
      }
    }
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    return checked(db_->Write(options, &records), "write the state");
  }

  base::Result<> flush() override {
    if (failed_ || !db_) {
      return base::fail(base::Errc::Unavailable,
                        "a write failed before; the state must be reopened");
    }
    return checked(db_->Flush(rocksdb::FlushOptions()), "bring the state to disk");
  }

  // RocksDB refuses everything after a failed flush, so the database is opened anew, once there is
  // room for that (docs/design/0003).
  base::Result<> reopen() override {
    TRY_DO(check_room(std::max(options_.free_bytes_min, 2 * options_.write_buffer_bytes)));
    const std::unique_lock nobody_reads(open_mutex_);
    db_.reset();
    TRY(db_, open_database(folder_, options_));
    failed_ = false;
    log_.info("the state can be written again", {});
    return {};
  }

 private:
  // Holds the database open: it is reopened only when nobody reads.
  class Snapshot final : public Reader {
   public:
    explicit Snapshot(const RocksDbStorage& storage)
        : storage_(storage), open_(storage.open_mutex_) {
      if (storage_.db_) options_.snapshot = storage_.db_->GetSnapshot();
    }
    ~Snapshot() override {
      delete spare_.exchange(nullptr);
      if (options_.snapshot) storage_.db_->ReleaseSnapshot(options_.snapshot);
    }
    Snapshot(const Snapshot&) = delete;
    Snapshot& operator=(const Snapshot&) = delete;
    base::Result<std::optional<std::string>> get(std::string_view key) const override {
      return storage_.get_with(options_, key);
    }
    base::Result<> scan(std::string_view from, std::string_view end,
                        const Visit& visit) const override {
      if (end.empty()) return storage_.scan_with(options_, from, end, visit);
      if (!storage_.db_) return std::unexpected(closed_error());
      std::unique_ptr<Bounded> bounded(spare_.exchange(nullptr));
      if (!bounded) bounded = std::make_unique<Bounded>(*storage_.db_, options_);
      bounded->end = end;
      bounded->bound = slice(bounded->end);
      TRY_DO(storage_.scan_on(*bounded->iterator, from, visit));
      delete spare_.exchange(bounded.release());
      return {};
    }

   private:
    // Making an iterator costs more than a short scan, so one is kept for the next. The bound is
    // looked at by each seek.
    struct Bounded {
      Bounded(rocksdb::DB& db, rocksdb::ReadOptions options) {
        options.iterate_upper_bound = &bound;
        iterator.reset(db.NewIterator(options));
      }
      std::string end;
      rocksdb::Slice bound;
      std::unique_ptr<rocksdb::Iterator> iterator;
    };

    const RocksDbStorage& storage_;
    std::shared_lock<std::shared_mutex> open_;
    rocksdb::ReadOptions options_;
    mutable std::atomic<Bounded*> spare_ = nullptr;
  };

  base::Result<std::string> opened(std::string_view key, std::string_view sealed) const {
    auto plain = cipher_.open(base::as_bytes(sealed), base::as_bytes(key));
    if (plain) return std::string(base::as_text(*plain));
    // A key that is not there is for the operator to mend; anything else is a damaged disk.
    if (plain.error().code == base::Errc::NotVerified) plain.error().code = base::Errc::DataLoss;
    return std::unexpected(base::wrap(std::move(plain).error(), "read the state"));
  }

  base::Result<std::optional<std::string>> get_with(const rocksdb::ReadOptions& options,
                                                    std::string_view key) const {
    if (!db_) return std::unexpected(closed_error());
    rocksdb::PinnableSlice value;
    const auto status = db_->Get(options, db_->DefaultColumnFamily(), slice(key), &value);
    if (status.IsNotFound()) return std::optional<std::string>();
    if (!status.ok()) return std::unexpected(error_of(status, "read the state"));
    TRY(std::string plain, opened(key, view(value)));
    return std::optional(std::move(plain));
  }

  base::Result<> scan_with(rocksdb::ReadOptions options, std::string_view from,
                           std::string_view end, const Visit& visit) const {
    if (!db_) return std::unexpected(closed_error());
    const rocksdb::Slice bound = slice(end);
    if (!end.empty()) options.iterate_upper_bound = &bound;
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options));
    return scan_on(*at, from, visit);
  }

  base::Result<> scan_on(rocksdb::Iterator& at, std::string_view from, const Visit& visit) const {
    for (at.Seek(slice(from)); at.Valid(); at.Next()) {
      TRY(const std::string plain, opened(view(at.key()), view(at.value())));
      if (!visit(view(at.key()), plain)) return {};
    }
    if (!at.status().ok()) return std::unexpected(error_of(at.status(), "read the state"));
    return {};
  }

  base::Result<> checked(const rocksdb::Status& status, std::string_view what) {
    if (status.ok()) return {};
    failed_ = true;
    auto error = error_of(status, what);
    log_.error("the state cannot be written", {{"error", error}});
    return std::unexpected(base::with_hint(
        std::move(error), "free space; the state then goes on from what is on disk"));
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
    return std::unexpected(
        base::with_hint(std::move(error), "nothing was changed; free space and it goes on"));
  }

  mutable std::shared_mutex open_mutex_;  // held shared by readers, alone to reopen
  std::unique_ptr<rocksdb::DB> db_;
  std::filesystem::path folder_;
  RocksDbStorageOptions options_;
  at_rest::RecordCipher& cipher_;
  base::Log log_;
  bool failed_ = false;
};

}  // namespace

base::Result<std::unique_ptr<Storage>> open_rocksdb_storage(const std::filesystem::path& folder,
                                                            const RocksDbStorageOptions& options,
                                                            at_rest::RecordCipher& cipher,
                                                            base::Log log) {
  std::error_code made;
  std::filesystem::create_directories(folder, made);
  if (made) return base::fail_errno(made.value(), "make the folder " + folder.string());
  TRY(auto database, open_database(folder, options));
  return std::make_unique<RocksDbStorage>(std::move(database), folder, options, cipher,
                                          std::move(log));
}

}  // namespace hypermesh::state
