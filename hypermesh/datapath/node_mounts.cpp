#include "datapath/node_mounts.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>

#include "datapath/node_isolation.hpp"
#include "datapath/unique_fd.hpp"

namespace hypermesh::datapath {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRun = "/run";
constexpr const char* kUnifiedCgroup = "/sys/fs/cgroup/unified";
constexpr const char* kResolvConf = "/etc/resolv.conf";

base::Result<> mount_or_error(const char* source, const char* target, const char* type,
                              unsigned long flags, const char* options, std::string_view what) {
  if (::mount(source, target, type, flags, options) == 0) return {};
  return base::fail_errno(errno, std::string(what));
}

bool hybrid_cgroups() {
  std::ifstream mounts("/proc/self/mounts");
  std::string line;
  bool unified = false;
  while (std::getline(mounts, line)) {
    std::istringstream fields(line);
    std::string source, target, type;
    fields >> source >> target >> type;
    unified = unified || (target == kUnifiedCgroup && type == "cgroup2");
  }
  return unified;
}

/// The machine's resolver configuration often is a link into /run, which the node does not see.
std::string resolver_configuration_in_run(fs::path& target) {
  std::error_code error;
  target = fs::weakly_canonical(kResolvConf, error);
  if (error || target.string().rfind("/run/", 0) != 0) return {};
  std::ifstream file(target);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

base::Result<> keep_resolver_configuration(const fs::path& target, const std::string& text) {
  if (text.empty()) return {};
  std::error_code error;
  fs::create_directories(target.parent_path(), error);
  std::ofstream file(target);
  file << text;
  file.close();
  if (error || !file) {
    return base::fail(base::Errc::Internal,
                      fmt::format("cannot keep {} inside the node", target.string()));
  }
  return {};
}

}  // namespace

base::Result<> make_node_mounts(const fs::path& home) {
  TRY_DO(mount_or_error(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr,
                        "cannot separate the node's mounts from the machine's"));
  if (hybrid_cgroups() && ::umount2(kUnifiedCgroup, MNT_DETACH) != 0) {
    return base::fail_errno(errno,
                            fmt::format("cannot unmount {} inside the node", kUnifiedCgroup));
  }
  // Opened before /run is covered: the home may lie below it.
  const UniqueFd opened(::open(home.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!opened) return base::fail_errno(errno, fmt::format("cannot open {}", home.string()));
  fs::path resolver_target;
  const std::string resolver = resolver_configuration_in_run(resolver_target);

  TRY_DO(mount_or_error("hypermesh", kRun, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=64m",
                        "cannot mount the node's own /run"));
  TRY_DO(keep_resolver_configuration(resolver_target, resolver));
  if (::mkdir(kNodeHomeInside, 0755) != 0) {
    return base::fail_errno(errno, fmt::format("cannot make {}", kNodeHomeInside));
  }
  const std::string source = fmt::format("/proc/self/fd/{}", opened.get());
  TRY_DO(mount_or_error(source.c_str(), kNodeHomeInside, nullptr, MS_BIND, nullptr,
                        fmt::format("cannot bind {} to {}", home.string(), kNodeHomeInside)));
  // Nothing in a node's folder is to be trusted with more rights than it has outside.
  TRY_DO(mount_or_error(nullptr, kNodeHomeInside, nullptr,
                        MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, nullptr,
                        fmt::format("cannot restrict {}", kNodeHomeInside)));
  if (::chdir("/") != 0) return base::fail_errno(errno, "cannot change to /");
  return {};
}

}  // namespace hypermesh::datapath
