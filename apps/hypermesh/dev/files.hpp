#pragma once

// Small acts on files, as root, in folders that others may have meddled with.

#include <base/error.hpp>
#include <datapath/unique_fd.hpp>
#include <filesystem>
#include <string>
#include <string_view>

namespace cli::dev {

using hypermesh::datapath::UniqueFd;

/// Empty when the file cannot be read. For /proc and for files whose absence means as much as their
/// damage.
std::string read_text(const std::filesystem::path& file);
/// Readers see the old content or the new one, also after a loss of power.
base::Result<> replace_file(const std::filesystem::path& file, std::string_view text, mode_t mode);
/// Makes the folder, or takes the one that is there, with this owner and mode. Errors:
/// FailedPrecondition (something else has the name).
base::Result<> make_folder(const std::filesystem::path& folder, uid_t owner, gid_t group,
                           mode_t mode);
/// Removes a file or a folder with all in it, without following links and without leaving its file
/// system. Not an error when there is nothing. Errors: FailedPrecondition (something is mounted
/// there).
base::Result<> remove_tree(const std::filesystem::path& top);
/// The last `lines_max` lines from `offset` on.
std::string tail(const std::filesystem::path& file, std::uintmax_t offset, std::size_t lines_max);

/// A lock between processes, by a file. Held until the object goes.
class FileLock {
 public:
  /// Waits for at most `limit`. Errors: FailedPrecondition (someone else holds it for longer).
  static base::Result<FileLock> take(const std::filesystem::path& file, int limit_ms);
  /// Removes the file; who waits for it takes a new one.
  void remove();

 private:
  FileLock(UniqueFd fd, std::filesystem::path file) : fd_(std::move(fd)), file_(std::move(file)) {}
  UniqueFd fd_;
  std::filesystem::path file_;
};

}  // namespace cli::dev
