#pragma once

#include <base/random.hpp>
#include <map>
#include <memory>
#include <optional>

#include "consensus/log/log_files.hpp"

namespace hypermesh::consensus::testing {

/// A disk in memory that fails as disks do, by a seed. It outlives the files that are opened on it;
/// one log at a time, one thread at a time.
class MemoryDisk {
 public:
  explicit MemoryDisk(std::uint64_t seed) : rng_(seed) {}

  /// A process starts: what an earlier one wrote and did not sync is there, as in the page cache.
  std::unique_ptr<LogFiles> start();

  /// What a power cut makes of writes that were not synced.
  enum class Unsynced : std::uint8_t {
    Lost,     ///< None of their bytes.
    Cut,      ///< Their bytes up to some place, any byte.
    Sectors,  ///< Any of their sectors.
    Kept,     ///< All.
  };
  void cut_power(Unsynced fate);
  /// Like cut_power(), at the n-th change from now (0: the next). Calls fail from then on until
  /// start().
  void cut_power_in(std::uint64_t changes, Unsynced fate);
  bool has_power() const { return !off_; }

  /// Bytes that can still be made or written; empty: any number.
  void set_space(std::optional<std::uint64_t> bytes) { space_ = bytes; }
  /// The next sync fails, and what it should have brought to disk is lost in part.
  void fail_next_sync() { sync_fails_ = true; }

  /// False: there is no such record. `bit` counts from the record's first and wraps at its end.
  bool flip_record(Lsn lsn, std::uint64_t bit);
  void flip_byte(const std::string& name, std::uint64_t offset, std::uint8_t bits);
  void make_unreadable(const std::string& name, ByteRange range);
  void lose_file(const std::string& name) { files_.erase(name); }

  std::uint64_t syncs() const { return syncs_; }
  std::uint64_t changes() const { return changes_; }
  std::vector<std::string> names() const;

 private:
  friend class MemoryFiles;
  struct Write {
    std::uint64_t offset;
    base::Bytes bytes;
  };
  struct File {
    base::Bytes disk;  // What follows it up to `size` are zeros.
    std::uint64_t size = 0;
    std::vector<Write> unsynced;
    std::vector<ByteRange> unreadable;
  };

  base::Result<> change();
  static void apply(base::Bytes& disk, std::uint64_t offset, base::BytesView bytes);
  void settle(File& file, Unsynced fate);
  base::Result<> take_space(const std::string& name, std::uint64_t bytes);

  base::SeededRng rng_;
  std::map<std::string, File> files_;
  std::optional<std::uint64_t> space_;
  bool sync_fails_ = false, off_ = false;
  std::optional<std::uint64_t> changes_left_;
  Unsynced fate_ = Unsynced::Lost;
  std::uint64_t syncs_ = 0, changes_ = 0;
};

}  // namespace hypermesh::consensus::testing
