#include "dev/cgroups.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <sstream>

#include "dev/files.hpp"
#include "dev/process.hpp"

namespace cli::dev {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code error;
  // Groups come and go while we read; what is gone needs no more care.
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored) && !it->is_symlink(ignored)) folders.push_back(it->path());
  }
  return folders;
}

bool write_file(const fs::path& file, std::string_view text) {
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

void kill_tree(const fs::path& tree) {
  if (!write_file(tree / "cgroup.kill", "1")) {
    std::istringstream pids(read_text(tree / "cgroup.procs"));
    for (pid_t pid = 0; pids >> pid;) {
      if (const auto process = RunningProcess::open(pid)) (void)process->signal(SIGKILL);
    }
  }
  // A frozen process (version 1) dies when it thaws.
  (void)write_file(tree / "freezer.state", "THAWED");
  for (const fs::path& inner : folders_in(tree)) kill_tree(inner);
}

/// Innermost first. False when a group is not empty yet.
bool remove_tree_once(const fs::path& tree) {
  bool whole = true;
  for (const fs::path& inner : folders_in(tree)) whole = remove_tree_once(inner) && whole;
  return (::rmdir(tree.c_str()) == 0 || errno == ENOENT) && whole;
}

void find(const fs::path& folder, const std::string& name, std::vector<fs::path>& found) {
  for (const fs::path& inner : folders_in(folder)) {
    if (inner.filename() == name) {
      found.push_back(inner);
    } else {
      find(inner, name, found);
    }
  }
}

}  // namespace

std::vector<fs::path> find_cgroups(const fs::path& top, const std::string& name) {
  std::vector<fs::path> found;
  find(top, name, found);
  return found;
}

base::Result<> kill_cgroups(const std::vector<fs::path>& trees) {
  for (const fs::path& tree : trees) kill_tree(tree);
  return {};
}

base::Result<> remove_cgroups(const std::vector<fs::path>& trees, std::chrono::milliseconds limit) {
  constexpr timespec kPause{0, 2'000'000};
  const auto until = std::chrono::steady_clock::now() + limit;
  for (const fs::path& tree : trees) {
    while (!remove_tree_once(tree)) {
      if (std::chrono::steady_clock::now() > until) {
        return base::fail(base::Errc::TimedOut,
                          fmt::format("processes in {} do not end", tree.string()));
      }
      kill_tree(tree);
      ::nanosleep(&kPause, nullptr);
    }
  }
  return {};
}

}  // namespace cli::dev
