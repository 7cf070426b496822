#pragma once

#include <base/async/blocking_pool.hpp>
#include <base/bytes.hpp>
#include <base/random.hpp>
#include <filesystem>

namespace nexus::api {

/// A file for an archive on its way; it goes when this goes. Its calls run on the pool.
class SpoolFile {
 public:
  /// A new name in `folder`, which is made when it is not there. The file itself is made by who
  /// writes it.
  static base::Result<SpoolFile> reserve(base::BlockingPool& pool,
                                         const std::filesystem::path& folder, base::Rng& rng);
  /// Removes what an earlier server, which was killed, left in `folder`.
  static void remove_leftovers(const std::filesystem::path& folder);
  SpoolFile(SpoolFile&& other) noexcept;
  SpoolFile& operator=(SpoolFile&&) = delete;
  ~SpoolFile();

  const std::filesystem::path& path() const { return path_; }
  /// Adds to the end. Errors: ResourceExhausted (disk full).
  base::Task<base::Result<>> append(base::Bytes bytes);
  /// From the beginning, piece by piece; empty at the end. Errors: NotFound.
  base::Task<base::Result<base::Bytes>> read_some();

 private:
  SpoolFile(base::BlockingPool& pool, std::filesystem::path path)
      : pool_(pool), path_(std::move(path)) {}
  base::BlockingPool& pool_;
  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace nexus::api
