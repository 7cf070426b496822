#pragma once

#include <base/error.hpp>
#include <filesystem>

namespace nexus {

/// Holds a state folder for this process, so that two daemons never share one. Freed by the kernel
/// when the process ends, however it ends.
class FolderLock {
 public:
  /// Makes the folder (mode 0700) if there is none.
  /// Errors: FailedPrecondition (in use: names the process that holds it), Forbidden,
  /// ResourceExhausted.
  static base::Result<FolderLock> acquire(const std::filesystem::path& folder);

  FolderLock(FolderLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FolderLock& operator=(FolderLock&& other) noexcept;
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace nexus
