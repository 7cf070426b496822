#include "process/host_paths.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <filesystem>

#include "process/unique_fd.hpp"

namespace nexus::process {

namespace {

using base::Result;
using Type = HostPathVolume::Type;

Result<> provide(const HostPathVolume& volume) {
  if (volume.type == Type::Any) return {};
  std::error_code failed;
  if (volume.type == Type::DirectoryOrCreate) {
    std::filesystem::create_directories(volume.path, failed);
    if (failed) return base::fail_errno(failed.value(), fmt::format("hostPath {}", volume.path));
  } else if (volume.type == Type::FileOrCreate) {
    const UniqueFd made(
        ::open(volume.path.c_str(), O_RDONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0644));
    if (!made) return base::fail_errno(errno, fmt::format("hostPath {}", volume.path));
  }
  const auto status = std::filesystem::status(volume.path, failed);
  if (!std::filesystem::exists(status))
    return base::fail(base::Errc::NotFound, fmt::format("hostPath {} is not there", volume.path));
  const bool folder = volume.type == Type::Directory || volume.type == Type::DirectoryOrCreate;
  if (folder == std::filesystem::is_directory(status)) return {};
  return base::fail(base::Errc::FailedPrecondition,
                    fmt::format("hostPath {} is {} folder; the pod asks for a {}", volume.path,
                                folder ? "no" : "a", folder ? "folder" : "file"));
}

}  // namespace

Result<> provide_host_paths(const std::vector<Volume>& volumes) {
  for (const Volume& volume : volumes) {
    if (const auto* host = std::get_if<HostPathVolume>(&volume.source)) TRY_DO(provide(*host));
  }
  return {};
}

}  // namespace nexus::process
