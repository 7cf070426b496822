#pragma once

// Processes that a command starts and finds again later. A number alone names nothing for long: a
// process is known by its number, the boot it belongs to and the moment it began, and is signalled
// through a descriptor.

#include <sys/types.h>

#include <base/error.hpp>
#include <chrono>
#include <datapath/unique_fd.hpp>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace cli::dev {

using hypermesh::datapath::UniqueFd;

/// A process that is alive, held by a descriptor: its number cannot come to mean another one.
class RunningProcess {
 public:
  pid_t pid() const { return pid_; }
  /// Also when it is a zombie.
  bool ended() const;
  /// Not an error when it has ended.
  base::Result<> signal(int number) const;
  /// False when `limit` passed first.
  bool wait(std::chrono::milliseconds limit) const;
  /// Waits until its parent, which is nobody of ours, has taken note of its end: until then the
  /// process is still listed. An init that is slow at it is waited for a moment only.
  void wait_reaped() const;

  /// Empty when there is none.
  static std::optional<RunningProcess> open(pid_t pid);

 private:
  RunningProcess(pid_t pid, UniqueFd fd) : pid_(pid), fd_(std::move(fd)) {}
  pid_t pid_;
  UniqueFd fd_;
};

/// Records which process has a role. Replaced whole, so that a reader sees the old one or the new
/// one.
base::Result<> write_pid_file(const std::filesystem::path& file, pid_t pid);
/// The process of the file; empty when there is no file, it is damaged, or the process has ended.
std::optional<RunningProcess> find_process(const std::filesystem::path& pid_file);

/// A process that was started with a variable in its environment.
struct MarkedProcess {
  std::string value;
  RunningProcess process;
};
/// Every process that has the variable `name`, this one excepted.
std::vector<MarkedProcess> processes_with_variable(std::string_view name);

/// Sends `number` to all at once and waits until each has ended. Errors: TimedOut (names those that
/// have not).
base::Result<> end_processes(const std::vector<RunningProcess>& processes, int number,
                             std::chrono::milliseconds limit);

struct Launch {
  std::filesystem::path program;
  std::vector<std::string> arguments;    ///< Without the program's own name.
  std::vector<std::string> environment;  ///< "NAME=value", all of it.
  std::filesystem::path log;             ///< Standard output and error are appended here.
  std::filesystem::path pid_file;
  int network_namespace = -1;  ///< Entered first; -1: stays.
  int mount_namespace = -1;
  std::optional<std::pair<uid_t, gid_t>> user;  ///< Drops all privileges to it, for good.
};
/// Starts a program that outlives this one, with a session of its own and no open files but its
/// log. The pid file is there before the program runs. Errors: NotFound, Forbidden, and the
/// kernel's, with the step that failed.
base::Result<RunningProcess> launch(const Launch& what);

}  // namespace cli::dev
